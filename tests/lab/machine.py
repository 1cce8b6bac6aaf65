"""Build the machine that a scenario describes: a root folder, driver libraries that real clients load, variables.

A place (the host, or the inside of a container) is a table; what it does not say is a healthy machine with one A100.
"""

from __future__ import annotations

import copy
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smoke import settings
from smoke.detect.surroundings import VARIABLES
from tests.lab.packages import install

STUBS = Path(__file__).parent / "stubs"
LIBRARY_FOLDER = "/usr/lib/x86_64-linux-gnu"

#: name: (PCI device id, compute capability, bytes of memory)
MODELS: dict[str, tuple[str, tuple[int, int], int]] = {
    "NVIDIA A100-SXM4-40GB": ("0x20b0", (8, 0), 40 << 30),
    "NVIDIA H100 80GB HBM3": ("0x2330", (9, 0), 80 << 30),
    "NVIDIA GH200 480GB": ("0x2342", (9, 0), 96 << 30),
    "NVIDIA B200": ("0x2901", (10, 0), 180 << 30),
    "NVIDIA GeForce RTX 5090": ("0x2b85", (12, 0), 32 << 30),
    "NVIDIA GeForce RTX 3060": ("0x2503", (8, 6), 12 << 30),
    "Tesla T4": ("0x1eb8", (7, 5), 16 << 30),
    "Tesla V100-SXM2-16GB": ("0x1db1", (7, 0), 16 << 30),
    "NVIDIA GeForce GTX 1080 Ti": ("0x1b06", (6, 1), 11 << 30),
    "Tesla K80": ("0x102d", (3, 7), 12 << 30),
    "Orin (nvgpu)": ("", (8, 7), 32 << 30),
}

HEALTHY: dict[str, Any] = {
    "driver": "580.95.05",  # the loaded module; "" for none
    "open": False,
    "cuda": 13000,
    "kernel": "6.8.0-45-generic",
    "module_files": ["6.8.0-45-generic"],
    "secure_boot": False,
    "gpus": [{"model": "NVIDIA A100-SXM4-40GB"}],
    "libraries": ["nvml", "cuda"],  # which of the driver's libraries are installed
    "library_version": None,  # None: the driver's
    "library_path": [LIBRARY_FOLDER],
    "extra_libraries": {},  # {path: "cuda" | "nvml" | "empty" | "text" | "elf32" | "newer" | "lacking"}
    "links": True,  # whether extra libraries get the link of their soname
    "returns": {},  # {call or call@device: code | "hang" | "crash"}
    "values": {},  # further keys of the stubs
    "nodes": {},  # {path: {open, mode, major, minor}, or false where it is absent}
    "log": [],
    "files": {},
    "limits": {},  # {address_space | open_files | …: the soft limit}; what is not named has none
    "variables": {},  # {name: value, or false where it is not set}
    "container": "",
    "framework": None,
}

INSIDE: dict[str, Any] = {
    "container": "docker",
    "module_files": None,  # an image has no /lib/modules
    "variables": {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
}
_HARDWARE = ("driver", "open", "cuda", "kernel", "gpus", "log", "values", "library_version")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; tables are merged, everything else is replaced."""
    result = copy.deepcopy(dict(base))
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def host_of(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """The host of a scenario."""
    return merged(HEALTHY, scenario.get("host", {}))


def inside_of(scenario: Mapping[str, Any]) -> dict[str, Any]:
    """The container of a scenario, on the hardware and the kernel of its host."""
    host = host_of(scenario)
    shared = {key: host[key] for key in _HARDWARE}
    return merged(merged(merged(HEALTHY, shared), INSIDE), scenario.get("inside", {}))


@dataclass(frozen=True)
class Place:
    """A built place: its root and the variables with which a process lives in it."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    framework: str | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Give this process's children the place's variables."""
        before = dict(os.environ)
        for name in (*VARIABLES, *settings.suspects(before)):
            os.environ.pop(name, None)
        os.environ.update(self.variables)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def compile_stubs(folder: Path) -> Path:
    """Compile the three libraries, and two that do not load, into `folder` and return it."""
    for name, soname in (("nvml", "libnvidia-ml.so.1"), ("cuda", "libcuda.so.1"), ("nodes", "libnodes.so")):
        command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fPIC", "-shared"]
        command += [f"-Wl,-soname,{soname}", "-o", str(folder / f"{name}.so"), str(STUBS / f"{name}.c"), "-ldl"]
        subprocess.run(command, check=True)
    _wanting(folder, "lacking", "liblab-absent.so.1", "LAB_1")
    _wanting(folder, "newer", "libc.so.6", "GLIBC_9.99")
    return folder


def _wanting(folder: Path, name: str, soname: str, version: str) -> None:
    """A library that asks for a version of another that only its link has seen."""
    linked, script = folder / f"{name}-linked.so", folder / f"{name}.map"
    script.write_text(f"{version} {{ lab_absent; }};\n")
    source = folder / "absent.c"
    source.write_text("void lab_absent(void) {}\n")
    shared = ["gcc", "-fPIC", "-shared", "-nostdlib"]
    subprocess.run(
        [*shared, f"-Wl,-soname,{soname}", f"-Wl,--version-script,{script}", "-o", linked, source], check=True
    )
    subprocess.run([*shared, "-o", folder / f"{name}.so", STUBS / "wanting.c", linked], check=True)
    linked.unlink()


def build(spec: Mapping[str, Any], folder: Path, stubs: Path) -> Place:
    """Build `spec` below `folder`."""
    root = folder / "root"
    for name in ("proc", "sys/devices", "dev", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    _kernel(spec, root)
    _limits(spec["limits"], root)
    _pci(spec, root)
    _nodes(spec, root)
    _libraries(spec, root, stubs)
    if spec["container"] == "docker":
        _write(root / ".dockerenv", "")
    elif spec["container"] == "podman":
        _write(root / "run/.containerenv", "")
    elif spec["container"]:
        _write(root / "run/systemd/container", spec["container"])
    for path, text in spec["files"].items():
        _write(root / path.lstrip("/"), text)
    scenario = folder / "scenario.txt"
    scenario.write_text(_stub_lines(spec), encoding="utf-8", errors="surrogateescape")
    variables = {
        "LD_LIBRARY_PATH": ":".join(str(root) + path for path in spec["library_path"]),
        "LD_PRELOAD": str(stubs / "nodes.so"),
        "LAB_SCENARIO": str(scenario),
        "LAB_ROOT": str(root),
        **{name: value for name, value in spec["variables"].items() if value is not False},
    }
    if "LD_PRELOAD" in spec["variables"]:  # what stands in for the nodes stays before it
        variables["LD_PRELOAD"] = f"{stubs / 'nodes.so'}:{spec['variables']['LD_PRELOAD']}"
    if spec["framework"]:
        packages = folder / "packages"
        install(spec["framework"], packages)
        behind = [str(packages / "behind")] if "behind" in spec["framework"] else []
        variables["PYTHONPATH"] = os.pathsep.join([str(packages), *behind])
    return Place(root, variables, spec["framework"]["name"] if spec["framework"] else None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if text.startswith("#!"):
        path.chmod(0o755)


def _kernel(spec: Mapping[str, Any], root: Path) -> None:
    _write(root / "proc/sys/kernel/osrelease", spec["kernel"] + "\n")
    _write(root / "dev/kmsg", "".join(line + "\n" for line in spec["log"]))
    if spec["module_files"] is not None:
        (root / "lib/modules" / spec["kernel"]).mkdir(parents=True)
        for release in spec["module_files"]:
            _write(root / "lib/modules" / release / "updates/dkms/nvidia.ko", "")
    if spec["secure_boot"] is not None:
        path = root / "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes([6, 0, 0, 0, int(spec["secure_boot"])]))
    if spec["driver"]:
        flavour = "Open Kernel Module for x86_64  " if spec["open"] else "Kernel Module  "
        _write(root / "sys/module/nvidia/version", spec["driver"] + "\n")
        _write(
            root / "proc/driver/nvidia/version", f"NVRM version: NVIDIA UNIX x86_64 {flavour}{spec['driver']}  Thu\n"
        )
        _write(
            root / "proc/devices", "Character devices:\n195 nvidia\n195 nvidiactl\n508 nvidia-uvm\n\nBlock devices:\n"
        )


def _limits(limits: Mapping[str, int], root: Path) -> None:
    kernel = {"address_space": "Max address space", "open_files": "Max open files",
              "locked_memory": "Max locked memory", "processes": "Max processes"}  # fmt: skip
    lines = ["Limit                     Soft Limit           Hard Limit           Units"]
    lines += [f"{kernel[name]:<26}{limits.get(name, 'unlimited'):<21}{'unlimited':<21}units" for name in kernel]
    _write(root / "proc/self/limits", "\n".join(lines) + "\n")


def _pci(spec: Mapping[str, Any], root: Path) -> None:
    base = root / "sys/bus/pci/devices"
    base.mkdir(parents=True)
    for index, gpu in enumerate(spec["gpus"]):
        identity = MODELS[gpu["model"]][0]
        if not identity:  # a Tegra's GPU is not on the bus
            continue
        where = base / f"0000:{index + 1:02x}:00.0"
        for name, text in (("vendor", "0x10de"), ("device", identity), ("class", "0x030200")):
            _write(where / name, text + "\n")
        driver = gpu.get("driver", "nvidia" if spec["driver"] else "")
        if driver:
            (where / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
    for index in range(spec["values"].get("nvswitches", 0)):
        where = base / f"0000:{0xC0 + index:02x}:00.0"
        for name, text in (("vendor", "0x10de"), ("device", "0x22a3"), ("class", "0x068000")):
            _write(where / name, text + "\n")


def _node_table(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nodes: dict[str, dict[str, Any]] = {}
    if spec["driver"]:
        nodes["/dev/nvidiactl"] = {"minor": 255}
        nodes["/dev/nvidia-uvm"] = {"major": 508}
        nodes.update({f"/dev/nvidia{i}": {"minor": i} for i in range(len(spec["gpus"]))})
    for path, change in spec["nodes"].items():
        if change is False:
            nodes.pop(path, None)
        else:
            nodes[path] = {**nodes.get(path, {}), **change}
    return nodes


def _nodes(spec: Mapping[str, Any], root: Path) -> None:
    for path, node in _node_table(spec).items():
        if node.get("open") == "ENXIO":
            # What opening a socket gives without any help.
            with socket.socket(socket.AF_UNIX) as end:
                here = os.getcwd()
                os.chdir((root / path.lstrip("/")).parent)  # a socket's path is limited to 107 bytes
                try:
                    end.bind(Path(path).name)
                finally:
                    os.chdir(here)
        else:
            _write(root / path.lstrip("/"), "")


def _libraries(spec: Mapping[str, Any], root: Path, stubs: Path) -> None:
    version = spec["library_version"] or spec["driver"] or "580.95.05"
    folder = root / LIBRARY_FOLDER.lstrip("/")
    folder.mkdir(parents=True)
    for kind in spec["libraries"]:
        stem = {"nvml": "libnvidia-ml.so", "cuda": "libcuda.so"}[kind]
        shutil.copy(stubs / f"{kind}.so", folder / f"{stem}.{version}")
        (folder / f"{stem}.1").symlink_to(f"{stem}.{version}")
    for path, kind in spec["extra_libraries"].items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind in ("cuda", "nvml", "newer", "lacking"):
            shutil.copy(stubs / f"{kind}.so", target)
        else:
            target.write_bytes({"empty": b"", "text": b"not an object file\n" * 40, "elf32": _elf32()}[kind])
        soname = target.name.split(".so")[0] + ".so.1"
        if spec["links"] and target.name != soname and not (target.parent / soname).exists():
            (target.parent / soname).symlink_to(target.name)


def _elf32() -> bytes:
    return b"\x7fELF\x01\x01\x01" + b"\0" * 9 + b"\x03\0\x03\0" + b"\0" * 500


def _stub_lines(spec: Mapping[str, Any]) -> str:
    lines = {"driver": spec["driver"], "nvml": f"12.{spec['driver']}", "cuda": spec["cuda"], "count": len(spec["gpus"])}
    lines.update(spec["values"])
    for index, gpu in enumerate(spec["gpus"]):
        _, (major, minor), memory = MODELS[gpu["model"]]
        facts = {
            "name": gpu["model"],
            "uuid": f"GPU-{index:08x}-aaaa-bbbb-cccc-{index:012x}",
            "pci": f"00000000:{index + 1:02X}:00.0",
            "cc_major": major, "cc_minor": minor, "memory_total": memory,
            **{key: value for key, value in gpu.items() if key not in ("model", "driver")},
        }  # fmt: skip
        lines.update({f"device.{index}.{key}": value for key, value in facts.items()})
    lines.update(spec["returns"])
    for path, node in _node_table(spec).items():
        shown = {"mode": "0666", "major": 195, "minor": 0, **node}
        if shown.get("open") == "ENXIO":
            continue
        lines.update({f"node.{path}.{key}": value for key, value in shown.items()})
    return "".join(f"{key} {value}\n" for key, value in lines.items())
