"""Random machines: whatever a driver, a file or a document holds, there is a diagnosis and no exception."""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlmatrix.gpu.diagnosis import Launch, diagnose
from tests.lab.machine import STUBS

ROOT = Path(__file__).parents[2]
CALLS = sorted(
    set(re.findall(r"\b((?:nvml|cu)[A-Z]\w+)\(", "".join((STUBS / name).read_text() for name in ("nvml.c", "cuda.c"))))
)
DEVICE_KEYS = sorted(set(re.findall(r'"(\w+)"', (STUBS / "nvml.c").read_text())) - {"processes", "C"})
FILES = (
    "proc/driver/nvidia/version", "sys/module/nvidia/version", "proc/devices", "proc/sys/kernel/osrelease", "dev/kmsg",
    "dev/nvidiactl", "dev/nvidia0", "dev/nvidia-uvm", "dev/dxg", "sys/bus/pci/devices/0000:01:00.0/vendor",
    "sys/bus/pci/devices/0000:01:00.0/class", "sys/bus/pci/devices/0000:01:00.0/device", "etc/nv_tegra_release",
    "lib/modules/6.1.0/updates/dkms/nvidia.ko", "sys/fs/selinux/enforce", "proc/self/attr/current",
    "etc/cdi/nvidia.yaml",
    "etc/nvidia-container-runtime/config.toml", "var/lib/dpkg/status", "run/systemd/container", "proc/1/cgroup",
    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "proc/mounts",
    "usr/lib/x86_64-linux-gnu/libcuda.so.1", "proc/self/limits",
)  # fmt: skip
PLAUSIBLE = (
    "0x10de", "0x030000", "0x1b06", "590.44.01", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.1", "1",
    "195 nvidia\n508 nvidia-uvm\n", "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", "nvidia.com/gpu\n",
    "PM: suspend entry (deep)\n", "5.15-microsoft-standard-WSL2", "docker", "no-cgroups = true", "[none] integrity",
    "Max open files            40                   unlimited            files",
    "Max address space         12288000000          12288000000          bytes",
)  # fmt: skip
code = st.one_of(
    st.sampled_from([0, 3, 4, 6, 9, 13, 15, 16, 17, 18, 34, 46, 100, 802, 803, 804, 999]), st.integers(-(2**31), 2**31)
)
value = st.one_of(st.integers(-(2**70), 2**70).map(str), st.text(max_size=300), st.integers(0, 9).map(str))
stub_lines = st.fixed_dictionaries(
    {"count": st.one_of(st.integers(0, 3), st.integers(-(2**40), 2**40)).map(str)},
    optional=dict.fromkeys(("driver", "nvml", "cuda", "cuda.count", "nvml.count", "confidential"), value),
)
devices = st.dictionaries(st.tuples(st.integers(0, 2), st.sampled_from(DEVICE_KEYS)), value, max_size=12)
returns = st.dictionaries(st.sampled_from(CALLS), code, max_size=6)
files = st.dictionaries(
    st.sampled_from(FILES),
    st.one_of(st.sampled_from(PLAUSIBLE).map(str.encode), st.binary(max_size=200), st.none()),
    max_size=14,
)
variables = st.fixed_dictionaries(
    {name: st.sampled_from(["", "all", "void", "-1", "0", "GPU-1", "7,8", "compute", "\t", "NoDevFiles", "MIG-"])
     for name in ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES",
                  "CUDA_LAUNCH_BLOCKING", "CUDA_FORCE_PTX_JIT", "NVIDIA_TF32_OVERRIDE", "CUDA_MODULE_LOADING")}
)  # fmt: skip


class Looker:
    """The persistent process and the folders that it looks at."""

    def __init__(self, folder: Path, stubs: Path) -> None:
        self.root, self.scenario = folder / "root", folder / "scenario.txt"
        libraries = folder / "lib"
        libraries.mkdir()
        shutil.copy(stubs / "cuda.so", libraries / "libcuda.so.1")
        shutil.copy(stubs / "nvml.so", libraries / "libnvidia-ml.so.1")
        environ = {"LD_LIBRARY_PATH": str(libraries), "LAB_SCENARIO": str(self.scenario), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("fuzz_child.py"))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, **environ)
        )

    def look(self, lines: dict[str, Any], contents: dict[str, bytes | None], env: dict[str, str]) -> dict[str, Any]:
        """The facts of one machine. An answer that takes longer than a minute is a hang."""
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("proc", "sys/devices", "dev", "etc"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            target = self.root / path
            if content is None:
                target.mkdir(parents=True, exist_ok=True)  # a folder where a file should be
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        text = "".join(f"{key} {value}\n" for key, value in lines.items())
        self.scenario.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"root": str(self.root), "variables": env}).encode() + b"\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(60), "the witnesses hang"
        line = self.process.stdout.readline()
        assert line, f"the witnesses died: {self.process.wait()}"
        answer = json.loads(line)
        assert "traceback" not in answer, answer["traceback"]
        return dict(answer["facts"])


@pytest.fixture(scope="module")
def looker(tmp_path_factory: pytest.TempPathFactory, stubs: Path) -> Iterator[Looker]:
    one = Looker(tmp_path_factory.mktemp("fuzz"), stubs)
    yield one
    assert one.process.stdin is not None
    assert one.process.stdout is not None
    one.process.stdin.close()
    one.process.stdout.close()
    one.process.wait()


def check(diagnosis: Any) -> None:
    assert diagnosis.verdict in ("usable", "no-gpu", "unusable", "unknown")
    assert json.dumps(diagnosis.as_dict())
    assert len({cause.label for cause in diagnosis.causes}) == len(diagnosis.causes)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(st.tuples(stub_lines, devices, returns, files, variables))
def test_no_machine_raises_or_hangs(looker: Looker, machine: Any) -> None:
    lines, more, codes, contents, env = machine
    lines = {**lines, **{f"device.{index}.{key}": text for (index, key), text in more.items()}, **codes}
    contents = {path: c for path, c in contents.items() if not any(other.startswith(path + "/") for other in contents)}
    check(diagnose(looker.look(lines, contents, env)))


PATHS = (
    "kernel", "nvml", "cuda", "framework", "witness", "pci", "gpus", "modules", "nodes", "log", "lines", "init", "code",
    "devices", "count", "version", "library", "path", "error", "loaded", "present", "/dev/dxg", "/dev/nvidia0", "kind",
    "variables", "container", "status", "messages", "arch_list", "readable", "compute_capability",
    "limits", "soft", "open_files", "address_space", "before", "after", "files", "blamed", "file", "problem",
    "distribution", "pid", "processes", "memory", "total", "probe_error", "CUDA_FORCE_PTX_JIT", "uuid",
)  # fmt: skip
leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.sampled_from(PLAUSIBLE))
document = st.recursive(
    leaf,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(PATHS), inner, max_size=8)),
    max_leaves=40,
)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(document, document, st.one_of(st.none(), st.text(max_size=200)))
@example({"nvml": {"devices": [{"compute_capability": [True, "x"]}]}}, [], "")
def test_no_document_raises(host: Any, inside: Any, error: str | None) -> None:
    launch = None if error is None else Launch(error=error, system=error, folder=error)
    check(diagnose(host, launch, inside))
