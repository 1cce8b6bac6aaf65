"""All witnesses see the same number of GPUs."""

from smoke import gpu
from smoke.context import failed, passed

ID = "gpu-count"
KIND = "verify"
ASSERTS = "NVML, the CUDA driver and the framework see the same number of GPUs, and at least one"
APPLIES = {"variants": ("gpu",)}


def run(context):
    """Compare the witnesses of detection."""
    gpu.require(context)
    counts = gpu.counts(gpu.facts(context))
    if len(set(counts.values())) != 1 or not counts["framework"]:
        return failed("the witnesses disagree; see detection for each one's reason", "one number >= 1", counts)
    return passed(counts)
