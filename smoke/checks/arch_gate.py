"""The wheel has code for every GPU."""

from smoke import gpu
from smoke.context import SkipError, failed, passed

ID = "arch-gate"
KIND = "verify"
ASSERTS = "for every GPU the build holds machine code of its architecture, or PTX that can be compiled for it"
APPLIES = {"variants": ("gpu",)}


def run(context):
    """Compare compute capabilities with the build's list; without a GPU the list must at least be there."""
    architectures = context.backend.architectures()
    if not architectures:
        return failed("the build names no GPU architecture; is it a CUDA build?", "sm_NN", architectures)
    if not context.want("gpu"):
        raise SkipError("no GPU was given to this run; the build is for {}".format(" ".join(architectures)))
    found = gpu.capabilities(gpu.facts(context))
    how = {index: gpu.runs_on(capability, architectures) for index, capability in found.items()}
    without = sorted(index for index, way in how.items() if way is None)
    if without or not found:
        return failed(
            "the GPU is seen, its architecture unsupported by this build: {}; take a framework version whose wheels "
            "hold it".format(", ".join("GPU {} is {}.{}".format(index, *found[index]) for index in without)),
            architectures,
            {index: "{}.{}".format(*capability) for index, capability in found.items()},
        )
    return passed(how, architectures)
