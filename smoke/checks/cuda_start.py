"""CUDA starts soon, and its errors come out."""

import time

from smoke import gpu
from smoke.context import failed, passed

ID = "cuda-start"
KIND = "verify"
ASSERTS = "a first allocation takes at most 20 s, and one on a GPU that does not exist raises"
APPLIES = {"variants": ("gpu",)}

LIMIT = 20.0


def run(context):
    """Allocate on GPU 0, then on one past the last."""
    gpu.require(context)
    started = time.monotonic()
    context.backend.allocate(0)
    seconds = time.monotonic() - started
    if seconds > LIMIT:
        return failed("CUDA starts slowly: kernels compiled from PTX, or no persistence daemon", LIMIT, seconds)
    beyond = context.backend.gpus()
    try:
        context.backend.allocate(beyond)
    except Exception as problem:
        return passed({"seconds": round(seconds, 3), "raised": type(problem).__name__})
    return failed("an allocation on GPU {} of {} did not raise: errors are lost".format(beyond, beyond))
