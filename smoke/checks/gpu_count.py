"""All witnesses see the GPUs that this run was given."""

from __future__ import annotations

import os
from typing import Any, Mapping

from smoke import gpu
from smoke.context import Context, Result, failed, passed

ID = "gpu-count"
KIND = "verify"
ASSERTS = (
    "the CUDA driver and the framework see the same number of GPUs, and at least one; NVML, where it answers, sees no "
    "more than CUDA_VISIBLE_DEVICES or MIG hides"
)
APPLIES = {"variants": ("gpu",)}


def run(context: Context) -> Result:
    """Compare the witnesses of detection."""
    gpu.require(context)
    found = gpu.facts(context)
    counts = gpu.counts(found)
    nvml, cuda, framework = (counts[name] for name in ("nvml", "cuda", "framework"))
    nvml = None if nvml is None else nvml - closed(found)
    if not cuda or cuda != framework:
        return failed("the witnesses disagree; see detection for each one's reason", "one number >= 1", counts)
    hidden = hiding(found, os.environ)
    if nvml is not None and (nvml < cuda or (nvml > cuda and not hidden)):
        return failed(f"NVML counts {nvml} GPUs and CUDA {cuda}; see detection", "one number", counts)
    if nvml is None:
        hidden = ["NVML does not count: nvidia-smi and monitors may not work, and CUDA does"]
    return passed(dict(counts, note="; ".join(hidden)) if hidden and nvml != cuda else counts)


def closed(found: dict[str, Any]) -> int:
    """How many GPUs NVML counts, and may not open: a container's, or a scheduler's, neighbours (NO_PERMISSION, 4)."""
    devices = (found.get("nvml") or {}).get("devices") or []
    return len([device for device in devices if (device.get("error") or {}).get("code") == 4])


def hiding(found: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """Why CUDA may offer fewer GPUs than NVML knows, each a sentence."""
    reasons = []
    if "CUDA_VISIBLE_DEVICES" in variables:
        reasons.append("CUDA_VISIBLE_DEVICES={} hides the others".format(variables["CUDA_VISIBLE_DEVICES"]))
    devices = (found.get("nvml") or {}).get("devices") or []
    if any((device.get("mig") or {}).get("enabled") for device in devices):
        # https://docs.nvidia.com/datacenter/tesla/mig-user-guide: CUDA enumerates a single compute instance.
        reasons.append("with MIG a process has one instance")
    return reasons
