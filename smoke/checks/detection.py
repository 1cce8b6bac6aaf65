"""What NVML, the CUDA driver, the kernel and the framework each see."""

from __future__ import annotations

from smoke import gpu
from smoke.context import Context, Result, failed, passed

ID = "detection"
KIND = "detection"
ASSERTS = "every witness of a GPU (nvml, cuda, kernel, framework) answers within its time"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Collect the facts; the verdict on them is the host's."""
    facts = gpu.facts(context)
    context.record("detection", facts)
    status = {name: facts[name]["witness"]["status"] for name in ("nvml", "cuda", "kernel", "framework")}
    late = sorted(name for name, word in status.items() if word != "ok")
    if late:
        return failed("no answer from {}; the doctor names the cause".format(", ".join(late)), "ok", status)
    return passed(gpu.counts(facts))
