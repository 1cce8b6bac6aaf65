"""The GPU keeps its clocks and its memory under load."""

from __future__ import annotations

import time
from typing import Any

from smoke import backends, gpu
from smoke.context import Context, Result, SkipError, failed, passed
from smoke.detect.nvml import Nvml
from smoke.detect.witness import Notes
from smoke.throughput import gpus, rows

ID = "gpu-health"
KIND = "verify"
ASSERTS = (
    "under load none of the run's GPUs is throttled by heat, power brake or hardware, and none counts an uncorrected "
    "ECC error"
)
APPLIES = {"variants": ("gpu",)}

SECONDS = 3.0


def run(context: Context) -> Result:
    """Sample NVML while the CNN trains."""
    gpu.require(context)
    pynvml = started()
    # NVML knows the GPUs of others too; what those do under another load is not this run's.
    ours = [entry["index"] for entry in gpu.ours(gpu.facts(context))]
    if not ours:
        raise SkipError("NVML names no GPU to look at")
    framework, until = context.framework, time.monotonic() + SECONDS
    # The small network: every card has room for it, and 20 steps of it end within the seconds.
    small = next(row for row in rows.planned(framework, "cuda") if (row.model, row.kind) == ("cnn", "train"))
    workload = backends.speed(framework).Workload(context.backend, small)
    try:
        with gpus.Sampler(pynvml, ours) as sampled:
            while time.monotonic() < until:
                workload.run(20)
            sampled.sample()  # however few there were, there is one
            errors = {index: uncorrected(Nvml(pynvml, Notes()), index) for index in ours}
    finally:
        workload.close()
    seen = dict(zip(sampled.indices, sampled.seen))
    reasons = {index: sorted({hex(value) for value in values["reasons"]}) for index, values in seen.items()}
    throttled = {index: words for index, words in zip(sampled.indices, sampled.faults()) if words}
    found = {"reasons": reasons, "uncorrected": errors, "throttled": throttled}
    if throttled or any(errors.values()):
        return failed("throttled or with memory errors under load: check cooling, power and the card", None, found)
    return passed(found)


def started() -> Any:
    """pynvml with NVML awake; CUDA does without either, so that a skip says what is missing."""
    try:
        import pynvml
    except ImportError:
        raise SkipError("nvidia-ml-py is not installed in this env") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as problem:
        raise SkipError(f"NVML does not start, and CUDA does without it: {problem}") from None
    return pynvml


def uncorrected(ask: Nvml, index: int) -> Any:
    """Uncorrected errors since the driver was loaded; None where the card has no ECC, or MIG does not tell."""
    constants = ask.pynvml
    return ask(
        "nvmlDeviceGetTotalEccErrors",
        ask("nvmlDeviceGetHandleByIndex", index),
        constants.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        constants.NVML_VOLATILE_ECC,
    )
