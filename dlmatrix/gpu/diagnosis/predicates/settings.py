"""Predicates on what surrounds the process: its limits, and variables that slow the GPU down (rows 88, 89, 94)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.predicates.framework import switched_on
from dlmatrix.gpu.diagnosis.predicates.state import BUSY_WORDS, FULL, foreign
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

#: Every Linux allows a process this many open files; CUDA and a framework need some 40 for one GPU.
_USUAL_FILES, _FEW_FILES = 1024, 256
_NO_MEMORY = r"[Cc]annot allocate memory|failed to map segment|bad_alloc|out of memory"
_NO_FILES = r"[Tt]oo many open files"
#: Variables for finding faults, with what each costs.
_SLOW = {
    "CUDA_LAUNCH_BLOCKING": "every launch of a kernel waits until the GPU has finished it",
    "CUDA_FORCE_PTX_JIT": "kernels are compiled anew instead of taken from the wheel",
    "CUDA_CACHE_DISABLE": "what is compiled just in time is compiled again in every process",
    "PYTORCH_NO_CUDA_MEMORY_CACHING": "every tensor asks the driver for its memory",
}


@predicate
def _address_space_limit(_case: Case, view: View) -> Match | None:
    limit = view.limit("address_space")
    # The driver reserves more addresses than all the memory that the process could reach.
    totals = [row.integer("memory.total") or 0 for row in view.rows("nvml.devices")]
    refused = view.cu == 2 or 2 in view.contexts
    errors = "\n".join([view.text("cuda.library.error"), *view.framework_errors])
    said = re.search(rf"[^\n]{{0,80}}(?:{_NO_MEMORY})[^\n]{{0,60}}", errors)
    return found(
        f"cuInit returned {view.cu} (out of memory)" if view.cu == 2 else "",
        "creating a context returned 2 (out of memory)" if 2 in view.contexts else "",
        said[0] if said else "",
        f"the process may have {(limit or 0) / 2**30:.3g} GiB of addresses (ulimit -v {(limit or 0) // 1024})",
        when=limit is not None and (refused or said),
        sure=limit is not None and refused and (not totals or limit < 2 * sum(totals)),
    )


@predicate
def _open_files_limit(_case: Case, view: View) -> Match | None:
    limit = view.limit("open_files")
    errors = "\n".join([view.framework_words, view.text("nvml.library.error"), view.text("cuda.library.error")])
    clear, vague = re.search(_NO_FILES, errors), re.search(BUSY_WORDS, errors)
    modes = [row.integer("compute_mode") for row in view.rows("nvml.devices")]
    said = clear or (vague if not any(modes) else None)
    return found(
        said[0] if said else "",
        f"the process may open {limit} files (ulimit -n)",
        "no GPU is in an exclusive compute mode" if vague and modes and not any(modes) else "",
        when=said and limit is not None and limit < _USUAL_FILES,
        sure=limit is not None and (bool(clear) or (limit < _FEW_FILES and bool(modes))),
    )


@predicate
def _memory_nearly_full(_case: Case, view: View) -> Match | None:
    full = []
    for row in view.rows("nvml.devices"):
        free, total = row.integer("memory.free"), row.integer("memory.total")
        if free is not None and total and free < FULL * total:
            others = foreign(row.all("processes.*.pid"), view)
            held = f", held by {listing(others)}" if others else ""
            full.append(f"GPU {row.get('index')}: {free / 2**20:.0f} of {total / 2**20:.0f} MiB free{held}")
    return found(*full, when=full and view.usable)


@predicate
def _no_cudnn(_case: Case, view: View) -> Match | None:
    asked = view.text("framework.name") == "torch" and bool(view.text("framework.built_cuda"))
    facts = view.get("framework")
    none = asked and "cudnn" in facts and facts["cudnn"] is None
    return found("torch.backends.cudnn.version() is None", when=none and view.usable)


@predicate
def _slowing_variables(_case: Case, view: View) -> Match | None:
    slow = [f"{name}={view.variable(name)}: {cost}" for name, cost in _SLOW.items() if switched_on(view.variable(name))]
    if (view.variable("NVIDIA_TF32_OVERRIDE") or "").strip() == "0":
        slow.append("NVIDIA_TF32_OVERRIDE=0: no product uses TF32, whatever the framework is told")
    if (view.variable("CUDA_MODULE_LOADING") or "").strip().upper() == "EAGER":
        slow.append("CUDA_MODULE_LOADING=EAGER: every kernel is loaded at the start, which takes seconds and memory")
    return found(*slow, when=slow and view.usable)
