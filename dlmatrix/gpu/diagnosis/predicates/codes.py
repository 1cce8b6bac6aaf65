"""Predicates on codes and lines of the driver that have several causes (rows 102 to 109)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.places import place_of
from dlmatrix.gpu.diagnosis.predicates.cuda import mig_instances
from dlmatrix.gpu.diagnosis.predicates.host import refused
from dlmatrix.gpu.diagnosis.predicates.state import full_memory, reported
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

#: nvmlDeviceGetVirtualizationMode: 2 is a virtual GPU inside a guest (nvml.h).
_VGPU = 2
#: With so many GPUs CUDA was never seen to start under WSL; with fewer it was, and was not.
_TOO_MANY_FOR_WSL = 4
#: What gVisor's own kernel calls itself (pkg/sentry/syscalls/linux of google/gvisor).
_GVISOR = "4.4.0"
#: The capability nodes of MIG's own administration; every instance has further ones.
_MIG_OFFICES = {"nvidia-cap1", "nvidia-cap2"}


@predicate
def _hmm_fault(_case: Case, view: View) -> Match | None:
    off, is_open = view.flag("kernel.modules.hmm_disabled"), view.flag("kernel.modules.open")
    enabled, _ = mig_instances(view)
    return found(
        "cuInit returned 3 (not initialised) although NVML counts "
        f"{view.integer('nvml.count')} GPU(s) and every node opens",
        "the open kernel module is loaded" if is_open else "",
        "uvm_disable_hmm is off" if off is False else "",
        when=off is not True and (is_open or off is False) and not view.wsl and not enabled and view.nv == 0,
        sure=False,
    )


@predicate
def _wsl_toolkit_old(_case: Case, view: View) -> Match | None:
    version = view.text("kernel.toolkit.version")
    return found(
        "cuInit returned 500 (named symbol not found) in a container of WSL",
        f"nvidia-container-toolkit {version}" if version else "",
        when=view.wsl and view.container,
    )


@predicate
def _wsl_many_gpus(_case: Case, view: View) -> Match | None:
    count = view.integer("nvml.count") or 0
    return found(
        f"cuInit returned 2 (out of memory) under WSL with {count} GPUs, none of which is full",
        when=view.wsl and count > 1 and not full_memory(view) and view.limit("address_space") is None,
        sure=count >= _TOO_MANY_FOR_WSL,
    )


@predicate
def _os_call_blocked(_case: Case, view: View) -> Match | None:
    # Under WSL this code of NVML is Windows', and where the nodes are shut it is theirs.
    shut = view.wsl or refused(view, "EPERM") or refused(view, "EACCES")
    blocked = view.nv == 17 and not shut and not view.cuda_works
    gvisor = view.text("kernel.release") == _GVISOR
    return found(
        f"cuInit returned 304 ({view.text('cuda.init.text') or 'operating system call failed'})"
        if view.cu == 304
        else "",
        "nvmlInit returned 17 (blocked by the operating system)" if blocked else "",
        f"kernel {_GVISOR}, which is gVisor's" if gvisor else "",
        when=view.cu == 304 or blocked,
        seen=["gvisor"] if gvisor else [],
    )


@predicate
def _gsp_wpr2(_case: Case, view: View) -> Match | None:
    # After a start that failed the region is up too: then the line is the second attempt's, and no cause.
    line = view.logged(r"WPR2 already up|RmInitAdapter failed")
    return found(line, when="WPR2" in line and not view.cuda_works)


@predicate
def _gsp_firmware(_case: Case, view: View) -> Match | None:
    line = view.logged(
        r"GSP firmware image version mismatch|gsp\w*\.bin failed with error|No firmware image found"
        r"|_kgspFwContainerVerifyVersion|Error preparing GSP-RM image"
    )
    return found(line, when=line and not view.cuda_works)


@predicate
def _mig_not_passed(case: Case, view: View) -> Match | None:
    enabled, instances = mig_instances(view)
    outside = mig_instances(case.host)[1] if case.host and view is not case.host else None
    place = place_of(view)
    caps = view.get("kernel.caps")
    shut = [f"{name}: {word}" for name, word in caps.items() if word != "ok" and name not in _MIG_OFFICES] \
        if isinstance(caps, dict) else []  # fmt: skip
    lacking = isinstance(caps, dict) and not set(caps) - _MIG_OFFICES
    return found(
        f"MIG is on, and no instance is seen in this {'container' if view.container else 'job'}; "
        f"cuInit returned {view.cu}",
        f"the host has {outside} instance(s)" if outside else "",
        "/dev/nvidia-caps has no node of an instance" if lacking else listing(shut, 3),
        when=(view.container or place in ("slurm", "batch"))
        and enabled
        and not instances
        and outside != 0
        and not view.cuda_works,
        sure=bool(outside),
    )


@predicate
def _vgpu_unlicensed(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("nvml.devices") if row.integer("virtualization") == _VGPU]
    without = [f"GPU {row.get('index')}: a virtual GPU, unlicensed" for row in rows if row.flag("licensed") is False]
    return found(f"cuInit returned {view.cu}" if view.cu else "", *without, when=without)


@predicate
def _vgpu_no_compute(_case: Case, view: View) -> Match | None:
    virtual = [row for row in view.rows("nvml.devices") if row.integer("virtualization") == _VGPU]
    refused = view.cu == 801 or 801 in view.contexts
    what = "cuInit" if view.cu == 801 else "creating a context"
    return found(f"{what} returned 801 (not supported) on a virtual GPU", when=refused and virtual)


@predicate
def _remap_failed(_case: Case, view: View) -> Match | None:
    flags = [row.flag("ecc.remap_failed") for row in view.rows("nvml.devices")]
    failed = [f"GPU {index}: row remapping failed" for index, flag in enumerate(flags) if flag]
    # Where NVML answers "no" a line of the log is of the past.
    logged = reported(view, r"Xid.*: (64|157)\b") if None in flags or not flags else ""
    return found(*failed, logged, when=failed or logged, sure=bool(failed))


@predicate
def _process_limit(_case: Case, view: View) -> Match | None:
    said = re.search(r"[^\n]*(?:can't start new thread|pthread_create failed|Resource temporarily unavailable)[^\n]*",
                     view.framework_words)  # fmt: skip
    limits = {
        "ulimit -u": view.limit("processes"),
        "pids.max of the control group": view.integer("kernel.cgroup.pids_max"),
    }
    known = [f"{name} is {value}" for name, value in limits.items() if value is not None]
    return found(said[0] if said else "", *known, when=said and known)
