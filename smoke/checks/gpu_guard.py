"""A gpu env carries a CUDA build and its libraries."""

from __future__ import annotations

from smoke import distributions, gpu
from smoke.context import Context, Result, failed, passed

ID = "gpu-guard"
KIND = "verify"
ASSERTS = "a gpu env holds no CPU build of the framework, and the CUDA libraries that its build needs"
APPLIES = {"variants": ("gpu",)}


def run(context: Context) -> Result:
    """Look at the distribution's name, its local version, its neighbours and, without them, the loader."""
    name, installed = context.want("distribution"), context.distributions()
    version = installed.get(name, "")
    if name == "tensorflow-cpu" or version.endswith("+cpu"):
        return failed("a CPU build in a gpu env; take the CUDA build and lock again", "a CUDA build", version)
    found = distributions.cuda(installed)
    build = context.backend.build()
    # In torch's own wheel before 2.0, or the system's, as in conda and in NVIDIA's images.
    if build["cuda_built"] and not found and gpu.loadable("libcudart")[0] is None:
        return failed(
            "a CUDA build without CUDA libraries; add the extra (tensorflow[and-cuda]) or the nvidia-* wheels",
            "nvidia-cuda-runtime and others",
            found,
        )
    return passed(found)
