"""The CUDA libraries load."""

import shutil

from smoke import gpu
from smoke.context import failed, passed

ID = "cuda-libraries"
KIND = "verify"
ASSERTS = "libcudart and libcudnn are there and load; a runtime image holds no nvcc"
APPLIES = {"variants": ("gpu",)}


def run(context):
    """dlopen each, and keep the loader's words."""
    found, missing = {}, []
    for stem in ("libcudart", "libcudnn"):
        files = gpu.libraries(stem)
        library, problem = gpu.opened(files[0]) if files else (None, "no file of that name")
        found[stem] = files[0] if library is not None else problem
        if library is None:
            missing.append("{}: {}".format(stem, problem))
    # torch 1.x has the runtime inside its own libraries, under names of its own.
    if missing:
        return failed("; ".join(missing) + "; add the nvidia wheels to the env's requirements", "load", found)
    if context.expect.get("hermetic") and shutil.which("nvcc"):
        return failed("nvcc does not belong into a runtime image", None, shutil.which("nvcc"))
    return passed(found)
