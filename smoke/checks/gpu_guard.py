"""A gpu env carries a CUDA build and its libraries."""

from smoke import distributions
from smoke.context import failed, passed

ID = "gpu-guard"
KIND = "verify"
ASSERTS = "a gpu env holds no CPU build of the framework, and the nvidia-* distributions that its CUDA build needs"
APPLIES = {"variants": ("gpu",)}


def run(context):
    """Look at the distribution's name, its local version and its neighbours."""
    name, installed = context.want("distribution"), context.distributions()
    version = installed.get(name, "")
    if name == "tensorflow-cpu" or version.endswith("+cpu"):
        return failed("a CPU build in a gpu env; take the CUDA build and lock again", "a CUDA build", version)
    found = distributions.cuda(installed)
    build = context.backend.build()
    # Before torch 2.0 the libraries were in torch's own wheel.
    own = context.framework == "torch" and context.backend.versions()["torch"].startswith("1.")
    if build["cuda_built"] and not found and not own:
        return failed(
            "a CUDA build without CUDA libraries; add the extra (tensorflow[and-cuda]) or the nvidia-* wheels",
            "nvidia-cuda-runtime and others",
            found,
        )
    return passed(found)
