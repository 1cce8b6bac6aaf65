"""Predicates on device nodes that may not be opened, or that no driver is behind (rows 12, 13, 95 to 101, 131)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.places import JOBS, place_of
from dlmatrix.gpu.diagnosis.predicates.host import open_to_all, refused
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

_GRANTED = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")


def was_given(view: View) -> bool:
    """Whether a pod's device plugin gave it a GPU, which it names one by one."""
    value = (view.variable("NVIDIA_VISIBLE_DEVICES") or "").strip().lower()
    return value not in ("", "all", "void", "none")


def shut(view: View, errno: str) -> list[str]:
    """The nodes that this errno keeps shut, where they are all GPUs, or a node that every GPU needs."""
    paths = [path for path, _ in refused(view, errno)]
    numbered = [path for path in view.gpu_nodes if path != "/dev/nvidiactl"]
    needed = {"/dev/nvidiactl", "/dev/nvidia-uvm"} & set(paths)
    return paths if needed or (numbered and set(numbered) <= set(paths)) else []


def _eperm(view: View) -> str:
    paths = shut(view, "EPERM")
    return f"{listing(paths, 3)}: EPERM" if paths else ""


@predicate
def _nodes_stale(_case: Case, view: View) -> Match | None:
    major = view.integer("kernel.majors.nvidia")
    nodes = {path: node for path, node in view.nodes.items() if path in view.gpu_nodes}
    lines = [f"{path}: {node.text('open')}, no driver behind the node" for path, node in nodes.items()
             if node.text("open") in ("ENXIO", "ENODEV")]  # fmt: skip
    lines += [f"{path} has major {node.get('major')}, /proc/devices says {major}" for path, node in nodes.items()
              if not lines and major is not None and node.integer("major") not in (None, major)]  # fmt: skip
    return found(*lines[:3], when=lines and view.module_version and not view.cuda_works)


@predicate
def _slurm_no_gpu(_case: Case, view: View) -> Match | None:
    granted = [f"{name}={view.variable(name)}" for name in _GRANTED if view.variable(name)]
    visible = view.variable("CUDA_VISIBLE_DEVICES")
    # Where devices are not constrained Slurm only says in the variable that the job has none.
    hidden = not granted and visible is not None and visible.strip() in ("", "NoDevFiles") and view.cu == 100
    denied = _eperm(view)
    # A container that was given the job's variables was not given its GPUs, of which there are none.
    bare = bool(view.container and view.variable("SLURM_JOB_ID") and not granted and not view.gpu_nodes)
    bare = bare and bool(view.module_version) and view.get("kernel.nodes") is not None
    return found(
        denied,
        "no /dev/nvidia* in the container" if bare else "",
        f"CUDA_VISIBLE_DEVICES={visible!r}" if hidden else "",
        f"job {view.variable('SLURM_JOB_ID') or view.text('kernel.cgroup.path')}: "
        + (listing(granted) or "none of " + listing(_GRANTED)),
        when=place_of(view) == "slurm" and (denied or hidden or bare),
    )


@predicate
def _batch_no_gpu(_case: Case, view: View) -> Match | None:
    jobs = [f"{name}={view.variable(name)}" for name in JOBS if view.variable(name)]
    return found(_eperm(view), listing(jobs), when=place_of(view) == "batch" and _eperm(view))


@predicate
def _service_denies(_case: Case, view: View) -> Match | None:
    group = view.text("kernel.cgroup.path")
    return found(
        _eperm(view),
        f"control group {group}" if group else "",
        when=place_of(view) in ("host", "apptainer", "nspawn") and _eperm(view),
    )


@predicate
def _lxc_denies(_case: Case, view: View) -> Match | None:
    absent = not view.gpu_nodes and bool(view.module_version) and view.get("kernel.nodes") is not None
    return found(
        _eperm(view),
        f"no /dev/nvidia* in the container although the host's module {view.module_version} is loaded"
        if absent
        else "",
        when=place_of(view) == "lxc" and (_eperm(view) or absent),
    )


@predicate
def _pod_without_gpu(_case: Case, view: View) -> Match | None:
    return found(
        _eperm(view),
        f"NVIDIA_VISIBLE_DEVICES={view.variable('NVIDIA_VISIBLE_DEVICES')!r}: no device plugin gave this pod a GPU",
        when=place_of(view) == "pod" and _eperm(view) and not was_given(view),
    )


@predicate
def _rootless_groups(_case: Case, view: View) -> Match | None:
    closed = [f"{path}: EACCES, mode {node.text('mode')}, group {node.get('gid')}"
              for path, node in refused(view, "EACCES") if not open_to_all(node)]  # fmt: skip
    return found(
        *closed[:3], "the container's users are mapped (rootless)", when=place_of(view) == "rootless" and closed
    )


@predicate
def _apparmor(_case: Case, view: View) -> Match | None:
    denied = [f"{path}: EACCES, mode {node.text('mode')}"
              for path, node in refused(view, "EACCES") if open_to_all(node)]  # fmt: skip
    audit = view.logged(r'apparmor="DENIED".*/dev/nvidia')
    label = view.text("kernel.selinux.label")
    profile = label if re.search(r"\((enforce|kill)\)$", label) else ""
    return found(
        listing(denied, 3),
        audit,
        f"AppArmor profile {profile}" if profile else "",
        when=denied and (audit or profile),
        sure=bool(audit),
    )


def _uvm_fault(view: View) -> str:
    node, major = view.nodes.get("/dev/nvidia-uvm"), view.integer("kernel.majors.nvidia-uvm")
    if node is None:
        return "/dev/nvidia-uvm does not exist"
    if major is not None and node.integer("major") != major:
        return f"/dev/nvidia-uvm has major {node.integer('major')}, /proc/devices says {major}"
    return "/dev/nvidia-uvm: ENXIO, no driver behind the node" if node.text("open") == "ENXIO" else ""


@predicate
def _uvm_missing(_case: Case, view: View) -> Match | None:
    fault = _uvm_fault(view)
    majors = view.get("kernel.majors")
    # The driver is in the kernel's list, and its module for unified memory is not: there is no node to make.
    unloaded = isinstance(majors, dict) and "nvidia" in majors and "nvidia-uvm" not in majors
    return found(
        "cuInit returned 999",
        fault,
        "the module nvidia_uvm is not loaded" if unloaded else "",
        when=fault and view.gpu_nodes and not refused(view, "EPERM"),
        seen=["no_module"] if unloaded else [],
    )


@predicate
def _uvm_after_suspend(_case: Case, view: View) -> Match | None:
    suspended = view.logged(r"PM: suspend")
    unread = not suspended and view.text("kernel.log.error") != ""
    node = view.nodes.get("/dev/nvidia-uvm")
    healthy = node is not None and node.text("open") == "ok" and not _uvm_fault(view) and bool(view.gpu_nodes)
    return found(
        "cuInit returned 999 although /dev/nvidia-uvm is good",
        suspended,
        when=healthy and (suspended or unread),
        sure=bool(suspended),
    )
