"""Predicates on hardware, kernel module and device nodes (rows 1 to 9, 11, 65 to 67)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.catalogue import Architecture, catalogue
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate


@predicate
def _no_gpu(_case: Case, view: View) -> Match | None:
    elsewhere = view.wsl or view.tegra or view.module_version or view.gpu_nodes or view.cu == 0 or view.nv == 0
    return found(
        "no PCI device of class 03 and vendor 10de, no /dev/dxg, no Tegra",
        when=view.flag("kernel.pci.readable") and not view.gpus and not elsewhere,
    )


#: The kernel's words for a module whose signature it does not take.
_REJECTED = (
    r"Key was rejected by service|Loading of (unsigned )?module.* is rejected|restricted; see man kernel_lockdown"
)


def _bound(view: View, *drivers: str) -> Match | None:
    links = [(gpu.text("address"), gpu.text("driver")) for gpu in view.gpus]
    held = [f"{address} is bound to {driver}" for address, driver in links if driver in drivers]
    return found(listing(held), when=held and all(driver != "nvidia" for _, driver in links))


@predicate
def _vfio_bound(_case: Case, view: View) -> Match | None:
    return _bound(view, "vfio-pci", "pci-stub", "xen-pciback")


@predicate
def _nouveau_bound(case: Case, view: View) -> Match | None:
    match = _bound(view, "nouveau", "nova_core")
    # Where the kernel has refused NVIDIA's module, or has none, nouveau is only what came in its place.
    instead = bool(view.logged(_REJECTED)) or _module_for_other_kernel(case, view) is not None
    return match and found(*match.evidence, behind=instead)


@predicate
def _other_driver_bound(_case: Case, view: View) -> Match | None:
    known = ("", "nvidia", "nouveau", "nova_core", "vfio-pci", "pci-stub", "xen-pciback", "nvgpu")
    return _bound(view, *{gpu.text("driver") for gpu in view.gpus if gpu.text("driver") not in known})


@predicate
def _gpu_unbound(_case: Case, view: View) -> Match | None:
    # A GPU that the driver refused when it was probed is without a driver too, and the log says why.
    refusal = view.logged(r"probe of \S+ failed|probe routine failed|will ignore this GPU|is not supported by")
    loose = [gpu.text("address") for gpu in view.gpus if not gpu.text("driver")]
    return found(
        f"module {view.module_version} is loaded, and no driver is bound to {listing(loose)}",
        when=view.module_version and loose and len(loose) == len(view.gpus) and not view.container
        and view.nv == 0 and view.integer("nvml.count") == 0 and not refusal,
    )  # fmt: skip


@predicate
def _gpu_not_supported(case: Case, view: View) -> Match | None:
    line = view.logged(r"installed in this (?:vGPU )?system is not supported by the|is not supported by the NVIDIA \S+")
    known = _dropped_by_branch(case, view) or _wrong_flavour(case, view)
    return found(line, view.logged(r"NVIDIA \S+ driver release"), when=line and _unseen(view) and not known)


def _module_absent(view: View) -> bool:
    # The modules of the host cannot be seen from inside a container, where an empty /lib/modules means nothing.
    return (
        bool(view.gpus) and not view.module_version and not (view.container and view.get("kernel.module_files.error"))
    )


def _kernels(view: View) -> list[str]:
    kernels = view.get("kernel.module_files.kernels")
    return sorted(str(k) for k in kernels) if isinstance(kernels, dict) else []


@predicate
def _driver_not_installed(_case: Case, view: View) -> Match | None:
    readable = view.text("kernel.module_files.error") in ("", "ENOENT")
    return found(
        f"NVIDIA device {listing(gpu.text('address') for gpu in view.gpus)}; no nvidia.ko for any kernel",
        f"libnvidia-ml.so.1: {view.text('nvml.library.error')}",
        when=_module_absent(view) and readable and not _kernels(view) and view.absent("nvml"),
    )


@predicate
def _module_for_other_kernel(_case: Case, view: View) -> Match | None:
    release, kernels = view.text("kernel.release"), _kernels(view)
    installed = kernels or (not view.absent("nvml") and view.flag("nvml.library.loaded") is True)
    refused_by_kernel = view.logged(r"nvidia\S*: (?:version magic|disagrees about version of symbol|Unknown symbol)")
    return found(
        f"running kernel {release}; nvidia.ko exists for {listing(kernels) or 'no kernel'}",
        refused_by_kernel,
        when=_module_absent(view)
        and not view.container
        and installed
        and (release not in kernels or refused_by_kernel),
    )


@predicate
def _secure_boot(_case: Case, view: View) -> Match | None:
    rejected = view.logged(_REJECTED)
    enforced = view.flag("kernel.secure_boot") and view.text("kernel.release") in _kernels(view)
    return found(
        "Secure Boot is on; the module is built and not loaded" if enforced else "",
        rejected,
        when=_module_absent(view) and (enforced or rejected),
        seen=["secure_boot_off"] if view.flag("kernel.secure_boot") is False else [],
    )


@predicate
def _module_without_ibt(_case: Case, view: View) -> Match | None:
    line = view.logged(r"Missing ENDBR")
    return found(line, when=line and not view.cuda_works)


@predicate
def _driver_not_loaded(_case: Case, view: View) -> Match | None:
    release, switch = view.text("kernel.release"), view.text("system.bbswitch")
    off = switch.endswith("OFF")
    return found(
        f"nvidia.ko exists for the running kernel {release}; /sys/module/nvidia does not",
        f"bbswitch: {switch}" if off else "",
        when=_module_absent(view) and release in _kernels(view),
        seen=["switched_off"] if off else [],
    )


def architecture_of(gpu: View) -> Architecture | None:
    """The generation of a GPU by its PCI id, None where the catalogue names none."""
    match = re.fullmatch(r"0x([0-9a-f]{4})", gpu.text("device"))
    number = int(match[1], 16) if match else -1
    for architecture in catalogue().architectures:
        if any(low <= number <= high for low, high in architecture.ids):
            return architecture
    return None


def _unseen(view: View) -> bool:
    """Whether NVML has fewer GPUs than the bus, or counts some that it cannot open."""
    shut = [row for row in view.rows("nvml.devices") if row.get("error") is not None]
    return (view.integer("nvml.count") or 0) - len(shut) < len(view.gpus)


def _dropped(view: View) -> list[str]:
    logged = view.logged(r"supported through the NVIDIA \d+\.xx Legacy|driver will ignore this GPU")
    branch = view.branch or 0
    old = [
        f"{gpu.text('address')} is {a.name}, last supported by R{a.last_branch}; the module is {view.module_version}"
        for gpu, a in ((gpu, architecture_of(gpu)) for gpu in view.gpus)
        if a is not None and a.last_branch is not None and branch > a.last_branch
    ]
    return [line for line in (*old, logged) if line]


@predicate
def _dropped_by_branch(_case: Case, view: View) -> Match | None:
    evidence = _dropped(view)
    return found(*evidence, when=evidence and _unseen(view))


@predicate
def _wrong_flavour(_case: Case, view: View) -> Match | None:
    logged = view.logged(
        r"not supported by open nvidia\.ko|does not include the required GPU\s+System Processor"
        r"|requires use of the NVIDIA open kernel modules|is only ready for use on Data Center GPUs"
    )
    flag = view.flag("kernel.modules.open")
    flavour = {True: "open", False: "proprietary"}.get(flag) if flag is not None else ""
    wrong = [
        f"{gpu.text('address')} is {a.name} and needs the {a.flavour} module; the {flavour} one is loaded"
        for gpu, a in ((gpu, architecture_of(gpu)) for gpu in view.gpus)
        if a is not None and flavour and a.flavour not in ("", flavour)
    ]
    return found(*wrong, logged, when=(wrong or logged) and _unseen(view) and not _dropped(view))


#: The firmware left a GPU's memory window without addresses.
_BAR = (
    r"BAR\d is 0M @ 0x0|PCI I/O region assigned to your NVIDIA device is invalid"
    r"|BAR \d.{0,60}(?:no space|failed to assign)"
)


@predicate
def _rm_init_failed(case: Case, view: View) -> Match | None:
    logged = view.logged(r"RmInitAdapter failed|rm_init_adapter failed|NVIDIA probe routine failed")
    logged = logged or view.logged(_BAR)
    nothing = view.nv == 0 and view.integer("nvml.count") == 0 and bool(view.gpus) and bool(view.module_version)
    # A node that is closed or absent hides a GPU that may be in the best of health.
    nothing = nothing and not (refused(view, "EACCES") or refused(view, "EPERM") or _unnumbered(view))
    other = _dropped_by_branch(case, view) or _wrong_flavour(case, view)
    return found(
        "NVML starts and counts no device" if nothing else "",
        logged,
        view.logged(_BAR) if view.logged(_BAR) != logged else "",
        when=(nothing or (logged and _unseen(view))) and not other and not (view.container and not view.gpu_nodes),
        sure=bool(logged),
        seen=["bar"] if view.logged(_BAR) else [],
    )


def _unnumbered(view: View) -> bool:
    """Whether there is no /dev/nvidia<N> although the driver holds a GPU, of which nothing is seen."""
    held = any(gpu.text("driver") == "nvidia" for gpu in view.gpus) and not view.cuda_works
    return held and view.get("kernel.nodes") is not None and not set(view.gpu_nodes) - {"/dev/nvidiactl"}


@predicate
def _nodes_missing(_case: Case, view: View) -> Match | None:
    lacking = "/dev/nvidia<N>" if view.gpu_nodes else "/dev/nvidiactl"
    none = bool(view.gpus) and not view.gpu_nodes and view.get("kernel.nodes") is not None
    group = view.text("kernel.cgroup.path")
    service = bool(re.search(r"system\.slice/.*\.service", group))
    return found(
        f"module {view.module_version} is loaded; there is no {lacking}",
        f"control group {group}" if service else "",
        when=view.module_version and not view.container and (none or _unnumbered(view)),
        seen=["service"] if service and none else [],
    )


@predicate
def _nodes_remade(_case: Case, view: View) -> Match | None:
    before, after = view.get("nodes.before"), view.words("nodes.after")
    made = [path for path in after if path not in before] if isinstance(before, list) else []
    return found(f"{listing(made)}: made when the driver was asked, and not before", when=made and view.cuda_works)


def refused(view: View, errno: str) -> list[tuple[str, View]]:
    """The nodes whose opening ended in this errno."""
    return [(path, node) for path, node in view.nodes.items() if node.text("open") == errno and path != "/dev/dxg"]


def open_to_all(node: View) -> bool:
    """Whether the mode lets everybody read and write."""
    return _lets_in(node, 0o006)


def _lets_in(node: View, bits: int) -> bool:
    match = re.fullmatch(r"[0-7]{3,6}", node.text("mode"))
    return bool(match) and int(node.text("mode"), 8) & bits == bits


@predicate
def _devnode_permission(case: Case, view: View) -> Match | None:
    # The engine's hook is another user than the doctor, who may be let in.
    said = re.search(r"nvml error: insufficient permissions", case.launch.error if case.launch else "")
    shut = view.nodes.items() if said else refused(view, "EACCES")
    closed = [(path, node) for path, node in shut if not open_to_all(node) and path != "/dev/dxg"]
    denied = [f"{path}: {'EACCES, ' if not said else ''}mode {node.text('mode')}" for path, node in closed]
    # Where no group is let in either, being in one helps nobody.
    alone = [node for _, node in closed if node.integer("gid") == 0 or not _lets_in(node, 0o060)]
    return found(said[0] if said else "", listing(denied, 3), when=denied, seen=["root_only"] if alone else [])


@predicate
def _devnode_hang(_case: Case, view: View) -> Match | None:
    calling = view.text("kernel.witness.calling")
    return found(
        view.text("kernel.witness.detail"),
        when=view.text("kernel.witness.status") == "hang" and calling.startswith("open /dev/nvidia"),
    )
