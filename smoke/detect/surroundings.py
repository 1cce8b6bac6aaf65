"""What surrounds the process: container, cgroup, security modules, variables, driver libraries, container toolkit."""

from __future__ import annotations

import os
import re
import subprocess

from .tree import clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tree import Tree
    from .witness import Notes

#: Told by systemd, LXC and Podman to what runs in their containers.
_CONTAINER = "container"
#: Named one by one: a prefix such as NVIDIA_ would also pick up keys that must not enter a report.
VARIABLES = (
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_REQUIRE_CUDA", "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_MPS_PIPE_DIRECTORY", "CUDA_VERSION", "CUDA_MODULE_LOADING",
    "CUDA_LAUNCH_BLOCKING", "CUDA_FORCE_PTX_JIT", "CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT", "CUDA_FORCE_JIT",
    "CUDA_CACHE_DISABLE", "CUDA_CACHE_MAXSIZE", "CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "XLA_FLAGS", "KUBERNETES_SERVICE_HOST",
    "PYTORCH_NVML_BASED_CUDA_CHECK", "PYTORCH_NO_CUDA_MEMORY_CACHING", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF",
    "TORCH_CUDNN_V8_API_DISABLED", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL", "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC", "TF_ENABLE_ONEDNN_OPTS",
    "SLURM_JOB_ID", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID",
    _CONTAINER,
)  # fmt: skip
#: The kernel's words for a limit of this process, and the name it has here.
_LIMITS = {
    "Max address space": "address_space", "Max open files": "open_files", "Max locked memory": "locked_memory",
    "Max processes": "processes",
}  # fmt: skip
LIBRARIES = ("libcuda.so", "libnvidia-ml.so")
_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/wsl/lib", "/usr/lib/nvidia", "/usr/lib64/nvidia", "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib",
    "/usr/lib/x86_64-linux-gnu/nvidia/current", "/usr/local/cuda/compat", "/usr/local/cuda/lib64/stubs",
    # Where a driver in a container of its own (GPU Operator) and Google's node image keep them.
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu", "/run/nvidia/driver/usr/lib64", "/home/kubernetes/bin/nvidia/lib64",
    "/usr/lib/aarch64-linux-gnu/tegra", "/usr/lib/aarch64-linux-gnu/nvidia",
)  # fmt: skip


def look(tree: Tree, notes: Notes) -> None:
    """Put the surroundings into `notes`."""
    notes.put("variables", {name: clip(os.environ[name]) for name in VARIABLES if name in os.environ})
    notes.put("limits", limits(tree))
    notes.put("container", container(tree))
    notes.put("cgroup", cgroup(tree))
    notes.put("selinux", {"enforce": _integer(tree.text("/sys/fs/selinux/enforce")),
                          "label": clip(tree.text("/proc/self/attr/current") or "", 120) or None})  # fmt: skip
    notes.put("libraries", libraries(tree))
    notes.put("cdi", cdi(tree))
    notes.calling("nvidia-ctk --version")
    notes.put("toolkit", toolkit(tree))


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.match(r"^\d{1,9}$", text) else None


def limits(tree: Tree) -> dict[str, dict[str, int | None]]:
    """{name: {"soft", "hard"}} in bytes or pieces, None where there is no limit; the children inherit them."""
    found = {}
    for line in (tree.text("/proc/self/limits") or "").splitlines():
        match = re.match(r"^(Max [a-z ]+?) {2,}(\d{1,20}|unlimited) +(\d{1,20}|unlimited)", line)
        if match and match.group(1) in _LIMITS:
            soft, hard = (None if word == "unlimited" else int(word) for word in match.groups()[1:])
            found[_LIMITS[match.group(1)]] = {"soft": soft, "hard": hard}
    return found


def container(tree: Tree) -> dict[str, str | None]:
    """{"kind": docker|podman|kubernetes|… or None, "evidence": path or text}."""
    if tree.exists("/var/run/secrets/kubernetes.io"):
        return {"kind": "kubernetes", "evidence": "/var/run/secrets/kubernetes.io"}
    for path, kind in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/.singularity.d", "apptainer")):
        if tree.exists(path):
            return {"kind": kind, "evidence": path}
    marker = tree.text("/run/systemd/container", 40)
    if marker:
        return {"kind": clip(marker, 40), "evidence": "/run/systemd/container"}
    match = re.search(r"(?:^| )container=([\w-]+)", tree.text("/proc/1/environ") or "")
    named = os.environ.get(_CONTAINER) or (match.group(1) if match else "")
    if named:  # LXC and nspawn tell their first process so, Podman every one
        return {"kind": clip(named, 40), "evidence": "container=" + clip(named, 40)}
    match = re.search(r"docker|containerd|kubepods|libpod|lxc", tree.text("/proc/1/cgroup") or "")
    if match:
        return {"kind": match.group(0), "evidence": "/proc/1/cgroup"}
    # buildkit and containerd leave no marker file: the root is an overlay only in a container (or a live system).
    if re.search(r"^overlay / overlay ", tree.text("/proc/mounts") or "", re.M):
        return {"kind": "overlay", "evidence": "/proc/mounts: overlay on /"}
    return {"kind": None, "evidence": None}


def cgroup(tree: Tree) -> dict[str, Any]:
    """The cgroup version, this process's group and, under version 1, its list of devices."""
    devices, group = tree.text("/sys/fs/cgroup/devices/devices.list"), _group(tree)
    return {
        "version": 2 if tree.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "path": group,
        "pids_max": _integer(
            tree.text("/sys/fs/cgroup" + (group or "") + "/pids.max") or tree.text("/sys/fs/cgroup/pids.max")
        ),
        "devices": None if devices is None else [clip(line, 60) for line in devices.splitlines()[:60]],
    }


def _group(tree: Tree) -> str | None:
    """The control group of this process: the one of version 2, or the one that rules over devices."""
    lines = [line.split(":", 2) for line in (tree.text("/proc/self/cgroup") or "").splitlines() if line.count(":") > 1]
    named = [path for _, controllers, path in lines if controllers == "" or "devices" in controllers.split(",")]
    return clip(max(named, key=len), 200) if named else None


def _folders(tree: Tree) -> list[str]:
    named = [tree.inside(f) for f in os.environ.get("LD_LIBRARY_PATH", "").split(":") if f]
    conf = []
    for name in tree.names("/etc/ld.so.conf.d")[:60]:
        conf += [
            line.strip() for line in (tree.text("/etc/ld.so.conf.d/" + name) or "").splitlines() if line.startswith("/")
        ]
    cuda = ["/usr/local/" + name + "/compat" for name in tree.names("/usr/local") if name.startswith("cuda-")]
    return list(dict.fromkeys(named + conf + list(_FOLDERS) + cuda))


def libraries(tree: Tree) -> list[dict[str, Any]]:
    """Every libcuda and libnvidia-ml file on disk, once each: {"path", "real", "size" in bytes}."""
    found: dict[str, dict[str, Any]] = {}
    for folder in _folders(tree):
        for name in tree.names(folder):
            if not name.startswith(LIBRARIES):
                continue
            path = folder + "/" + name
            real = tree.real(path)
            try:
                size = os.stat(tree.at(path)).st_size
            except OSError:
                size = None
            # The name with the version is the one to keep: both libcuda.so.1 and libcuda.so lead there.
            if real not in found or path == real:
                found[real] = {"path": clip(path), "real": clip(real), "size": size}
    return sorted(found.values(), key=lambda item: item["real"])[:40]


def toolkit(tree: Tree) -> dict[str, Any]:
    """NVIDIA's container toolkit: version (from the tool, else from dpkg) and its no-cgroups setting."""
    config = tree.text("/etc/nvidia-container-runtime/config.toml")
    no_cgroups = None
    if config is not None:
        match = re.search(r"^\s*no-cgroups\s*=\s*(true|false)", config, re.M)
        no_cgroups = match is not None and match.group(1) == "true"
    return {"version": _toolkit_version(tree), "no_cgroups": no_cgroups}


def _toolkit_version(tree: Tree) -> str | None:
    for name in ("nvidia-ctk", "nvidia-container-cli"):
        path = tree.at("/usr/bin/" + name)
        if not os.access(path, os.X_OK):
            continue
        try:
            done = subprocess.run(
                [path, "--version"], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=2
            )
        except (OSError, subprocess.SubprocessError):
            continue
        told = re.search(rb"version:?\s+v?(\d+\.\d+\.\d+)", done.stdout)
        if told:
            return told.group(1).decode()
    status = tree.text("/var/lib/dpkg/status", 8 * 1024 * 1024) or ""
    match = re.search(r"^Package: nvidia-container-toolkit\n(?:\S.*\n| .*\n)*?Version: (\d+\.\d+\.\d+)", status, re.M)
    return match.group(1) if match else None


def cdi(tree: Tree) -> list[dict[str, Any]]:
    """CDI specifications of NVIDIA and the driver versions that their library paths name."""
    found = []
    for folder in ("/etc/cdi", "/var/run/cdi", "/run/cdi"):
        for name in tree.names(folder)[:20]:
            text = tree.text(folder + "/" + name, 1024 * 1024)
            if text is None or "nvidia.com/" not in text:
                continue
            versions = sorted(set(re.findall(r"lib(?:cuda|nvidia-ml)\.so\.(\d+\.\d+(?:\.\d+)?)", text)))
            found.append({"path": folder + "/" + name, "versions": versions[:10]})
    return found
