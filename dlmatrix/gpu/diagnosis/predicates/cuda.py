"""Predicates on libcuda, cuInit and visibility (rows 34 to 44, 73, 76)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.places import place_of
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate
from dlmatrix.gpu.diagnosis.visibility import chosen

#: nvmlDeviceGetVirtualizationMode (nvml.h): a virtual GPU inside a guest; a host that gives them out.
_VGPU, _VGPU_HOSTS = 2, (3, 4)
#: Libraries that share out a GPU by standing before libcuda.
_SHARING = r"[^\s:]*(?:libvgpu|vcuda|cuda-control|gpushare)[^\s:]*\.so[^\s:]*"
#: The oldest driver of a CUDA major version with minor-version compatibility runs all of that major version.
_MINOR_COMPATIBLE_FROM = 11


@predicate
def _driver_without_cuda(_case: Case, view: View) -> Match | None:
    capabilities = view.variable("NVIDIA_DRIVER_CAPABILITIES") or ""
    lacking = view.container and not re.search(r"compute|all", capabilities)
    bare = view.absent("nvml") and bool(view.module_version) and not view.container and not view.tegra
    modes = view.all("nvml.devices.*.virtualization")
    seen = ["vgpu"] if _VGPU in modes else ["vgpu_host"] if any(mode in modes for mode in _VGPU_HOSTS) else []
    return found(
        f"module {view.module_version} is loaded" if bare else f"NVML starts, driver {view.text('nvml.driver')}",
        f"libcuda.so.1: {view.text('cuda.library.error')}",
        "a virtual GPU of a guest" if seen == ["vgpu"] else "the host of virtual GPUs" if seen else "",
        when=(view.nv == 0 or bare) and view.absent("cuda") and not lacking,
        seen=seen,
    )


@predicate
def _stub_libcuda(_case: Case, view: View) -> Match | None:
    path = view.text("cuda.library.path")
    return found(
        f"cuInit returned {view.cu}; libcuda.so.1 is {path}",
        when=view.cu == 34 or ("/stubs/" in path and view.cu != 0),
    )


@predicate
def _preloaded_cuda(_case: Case, view: View) -> Match | None:
    places = {"LD_PRELOAD": view.variable("LD_PRELOAD") or "", "/etc/ld.so.preload": view.text("system.preload")}
    named = [f"{place} names {said[0]}" for place, text in places.items() if (said := re.search(_SHARING, text))]
    status = view.text("cuda.witness.status")
    dies = status in ("crash", "hang")
    return found(
        *named,
        view.text("cuda.witness.detail") if dies else f"cuInit returned {view.cu}",
        when=named and (dies or view.cu not in (None, 0)),
        sure=dies,
    )


@predicate
def _wsl_linux_driver(_case: Case, view: View) -> Match | None:
    path = view.text("cuda.library.path")
    return found(
        f"libcuda.so.1 is {path}",
        when=view.wsl and path and not path.startswith("/usr/lib/wsl/") and not view.cuda_works,
    )


@predicate
def _compat_unsupported(_case: Case, view: View) -> Match | None:
    path = view.text("cuda.library.path")
    return found(
        "cuInit returned 804 (forward compatibility was attempted on a GPU that does not have it)",
        f"libcuda.so.1 is {path}" if path else "",
        f"the module is {view.module_version}" if view.module_version else "",
        seen=["no_compat"] if path and "/compat/" not in path else [],
    )


@predicate
def _compat_mismatch(_case: Case, view: View) -> Match | None:
    module, library = view.module_version, view.library_version("cuda")
    return found(
        f"cuInit returned 803; module {module or 'unknown'}, libcuda {library or 'unknown'}",
        view.text("cuda.library.path"),
        when=module == "" or library == "" or module != library,
        sure=bool(module and library),
    )


def _cuda(version: object) -> tuple[int, int] | None:
    match = re.match(r"(\d{1,3})\.(\d{1,3})", version if isinstance(version, str) else "")
    return (int(match[1]), int(match[2])) if match else None


@predicate
def _mps_down(_case: Case, view: View) -> Match | None:
    # From 806 on the daemon was reached: its server, or what it admits, is the trouble.
    seen = {808: ["clients"], 809: ["clients"], 805: [], 205: ["shm"]}.get(view.cu or 0, ["server"])
    folder = view.variable("CUDA_MPS_PIPE_DIRECTORY")
    # Nothing else in starting CUDA maps what another process made.
    unmapped = view.cu == 205 and bool(folder)
    return found(
        f"cuInit returned {view.cu} ({view.text('cuda.init.text') or 'of the multi-process service'})",
        f"CUDA_MPS_PIPE_DIRECTORY={folder}" if folder else "",
        when=unmapped or view.cu in range(805, 811),
        seen=seen,
    )


@predicate
def _driver_too_old(_case: Case, view: View) -> Match | None:
    # A compat library tells its own version: behind it NVML knows the driver's.
    compat = view.cu in (803, 804)
    version = view.integer("nvml.cuda" if compat else "cuda.version") or 0
    built = _cuda(view.get("framework.built_cuda"))
    if version <= 0 or not (compat or view.cu in (0, None)):
        return None
    has = (version // 1000, version % 1000 // 10)
    said = re.search(
        r"driver on your system is too old[^\n]{0,80}|driver version is insufficient for CUDA runtime"
        r"|PTX was compiled with an unsupported toolchain|CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        view.framework_words,
    )
    older = built is not None and (has < built if built[0] < _MINOR_COMPATIBLE_FROM else has[0] < built[0])
    return found(
        f"the driver ({view.text('nvml.driver') or 'version unknown'}) knows CUDA {has[0]}.{has[1]}"
        + (f"; the framework was built with {built[0]}.{built[1]}" if built else ""),
        said[0] if said else "",
        when=older or said,
    )


@predicate
def _fabric_not_ready(_case: Case, view: View) -> Match | None:
    devices = view.rows("nvml.devices")
    states = [row.integer("fabric.state") for row in devices]
    waiting = any(state in (1, 2) for state in states)
    switches = view.integer("kernel.pci.nvswitches") or 0
    return found(
        "cuInit returned 802",
        f"fabric state {listing(state for state in states if state is not None)} (3 is ready)" if waiting else "",
        f"{switches} NVSwitches on the bus" if switches else "",
        "NVML could not be asked for the fabric's state" if not devices else "",
        when=waiting or (switches and 3 not in states) or not devices,
        sure=waiting,
        seen=["switches"] if switches else [],
    )


@predicate
def _confidential_not_ready(_case: Case, view: View) -> Match | None:
    enabled, ready = view.flag("nvml.confidential.enabled"), view.flag("nvml.confidential.ready")
    asked = bool(view.rows("nvml.devices"))
    return found(
        "cuInit returned 802",
        "confidential computing is on, the GPUs are not ready" if enabled else "",
        "NVML could not be asked for confidential computing" if not asked else "",
        when=(enabled and not ready) or not asked,
        sure=enabled is True and ready is False,
    )


def mig_instances(view: View) -> tuple[int, int]:
    """GPUs with MIG on, and their instances."""
    rows = [row for row in view.rows("nvml.devices") if row.flag("mig.enabled")]
    return len(rows), sum(len(row.words("mig.instances")) for row in rows)


@predicate
def _mig_without_instance(case: Case, view: View) -> Match | None:
    enabled, instances = mig_instances(view)
    # A container or a job may not be given those that are there: only the machine's own count says that there is none.
    guest = view.container or place_of(view) in ("slurm", "batch")
    known = not guest or (view is not case.host and case.host is not None and not mig_instances(case.host)[1])
    return found(
        f"MIG is on for {enabled} GPU(s) without an instance; cuInit returned {view.cu}",
        when=enabled
        and not instances
        and known
        and (view.cu in (3, 100) or (view.cu == 0 and not view.integer("cuda.count"))),
    )


@predicate
def _visible_devices_hide(_case: Case, view: View) -> Match | None:
    value, counted = view.variable("CUDA_VISIBLE_DEVICES"), view.integer("nvml.count")
    # Where NVML cannot be asked the device nodes tell how many there may be.
    count = len([path for path in view.gpu_nodes if path != "/dev/nvidiactl"]) if counted is None else counted
    nothing = view.cu in (100, 101) or (view.cu == 0 and view.integer("cuda.count") == 0)
    choice = chosen(value or "", count, view)
    doubled = bool(choice.repeated) and view.cu == 101
    return found(
        f"CUDA_VISIBLE_DEVICES={value!r} while {'there are nodes of' if counted is None else 'NVML counts'} {count}",
        f"{choice.repeated} is named more than once: CUDA then refuses the whole list" if doubled else "",
        listing(
            f"{gpu.text('address')} is bound to {gpu.text('driver')}"
            for gpu in view.gpus
            if gpu.text("driver") not in ("", "nvidia")
        ),
        when=value is not None and nothing and count > 0 and (doubled or not choice.gpus),
        sure=counted is not None,
    )


@predicate
def _cuinit_unexplained(_case: Case, view: View) -> Match | None:
    name, text = view.text("cuda.init.name"), view.text("cuda.init.text")
    none = view.cu == 0 and not view.integer("cuda.count")
    return found(
        f"cuInit returned {view.cu} ({name or 'no name'}: {text})"
        if not none
        else "cuInit works and no device is counted",
        when=view.cu not in (None, 0) or none,
    )
