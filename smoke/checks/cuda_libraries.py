"""The CUDA libraries load."""

from __future__ import annotations

import shutil

from smoke import gpu
from smoke.context import Context, Result, failed, passed

ID = "cuda-libraries"
KIND = "verify"
ASSERTS = "libcudart and libcudnn are there and load; a runtime image holds no nvcc"
APPLIES = {"variants": ("gpu",)}


def run(context: Context) -> Result:
    """dlopen each, and keep the loader's words."""
    found, missing = {}, []
    for stem in ("libcudart", "libcudnn"):
        library, name, problem = gpu.loadable(stem)
        found[stem] = name if library is not None else problem
        if library is None:
            missing.append(f"{stem}: {problem}")
    if missing:
        return failed("; ".join(missing) + "; add the nvidia wheels to the env's requirements", "load", found)
    if context.expect.get("hermetic") and shutil.which("nvcc"):
        return failed("nvcc does not belong into a runtime image", None, shutil.which("nvcc"))
    return passed(found)
