"""The wheel has code for the GPU."""

from __future__ import annotations

from smoke import gpu
from smoke.context import Context, Result, SkipError, failed, passed

ID = "arch-gate"
KIND = "verify"
ASSERTS = "for the GPU that computes, the build holds machine code of its architecture, or PTX that can be compiled"
APPLIES = {"variants": ("gpu",)}


def run(context: Context) -> Result:
    """Compare compute capabilities with the build's list; without a GPU the list must at least be there.

    GPU 0 computes, which is the fastest unless CUDA_DEVICE_ORDER says otherwise. One beside it that the build has
    nothing for, as an old card that drives a screen, is named and no failure.
    """
    architectures = context.backend.architectures()
    if not architectures:
        return failed("the build names no GPU architecture; is it a CUDA build?", "sm_NN", architectures)
    if not context.want("gpu"):
        raise SkipError("no GPU was given to this run; the build is for {}".format(" ".join(architectures)))
    found = gpu.capabilities(gpu.facts(context))
    how = {index: gpu.runs_on(capability, architectures) for index, capability in found.items()}
    if not found:
        return failed("the CUDA driver names no GPU's compute capability; see detection", architectures, found)
    first = min(found)
    if how[first] is None:
        return failed(
            "the GPU is seen, its architecture unsupported by this build: GPU {} is {}.{}; take a framework version "
            "whose wheels hold it".format(first, *found[first]),
            architectures,
            {index: "{}.{}".format(*capability) for index, capability in found.items()},
        )
    words = {"sass": "machine code", "ptx": "PTX, compiled at the first start", None: "nothing: it cannot be used"}
    return passed({index: words[way] for index, way in how.items()}, architectures)
