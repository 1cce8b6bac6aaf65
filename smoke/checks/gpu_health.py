"""The GPU keeps its clocks and its memory under load."""

import time

from smoke import backends, gpu
from smoke.context import SkipError, failed, passed
from smoke.throughput import gpus, rows

ID = "gpu-health"
KIND = "verify"
ASSERTS = "under load no GPU is throttled by heat, power brake or hardware, and no uncorrected ECC error is counted"
APPLIES = {"variants": ("gpu",)}

SECONDS = 3.0


def run(context):
    """Sample NVML while the CNN trains."""
    gpu.require(context)
    try:
        import pynvml
    except ImportError:
        raise SkipError("nvidia-ml-py is not installed in this env") from None
    pynvml.nvmlInit()
    framework, until = context.framework, time.monotonic() + SECONDS
    row = rows.planned(framework, "cuda")[0]
    workload = backends.speed(framework).Workload(context.backend, row)
    with gpus.Sampler(pynvml) as sampled:
        while time.monotonic() < until:
            workload.run(20)
        sampled.sample()  # however few there were, there is one
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        errors = {index: _uncorrected(pynvml, handle) for index, handle in enumerate(handles)}
    workload.close()
    throttled = {index: words for index, words in enumerate(sampled.faults()) if words}
    reasons = {index: sorted({hex(value) for value in seen["reasons"]}) for index, seen in enumerate(sampled.seen)}
    found = {"reasons": reasons, "uncorrected": errors, "throttled": throttled}
    if throttled or any(errors.values()):
        return failed("throttled or with memory errors under load: check cooling, power and the card", None, found)
    return passed(found)


def _uncorrected(pynvml, handle):
    try:
        return pynvml.nvmlDeviceGetTotalEccErrors(
            handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
        )
    except pynvml.NVMLError:
        # No ECC on this card, or none switched on.
        return None
