"""CUDA starts soon, and its errors come out."""

from __future__ import annotations

import time

from smoke import gpu
from smoke.context import Context, Result, failed, passed

ID = "cuda-start"
KIND = "verify"
ASSERTS = "a first allocation takes at most 20 s unless PTX must be compiled, and one on a GPU that is not there raises"
APPLIES = {"variants": ("gpu",)}

LIMIT = 20.0


def run(context: Context) -> Result:
    """Allocate on GPU 0, then on one past the last."""
    gpu.require(context)
    started = time.monotonic()
    context.backend.allocate(0)
    seconds = time.monotonic() - started
    if seconds > LIMIT and not compiles(context):
        return failed(
            "CUDA starts slowly; start nvidia-persistenced, and look whether the disk is slow", LIMIT, seconds
        )
    beyond = context.backend.gpus()
    try:
        context.backend.allocate(beyond)
    except Exception as problem:
        found = {"seconds": round(seconds, 3), "raised": type(problem).__name__}
        return passed(dict(found, note="PTX is compiled for this GPU at each start") if seconds > LIMIT else found)
    return failed(f"an allocation on GPU {beyond} of {beyond} did not raise: errors are lost")


def compiles(context: Context) -> bool:
    """Whether the build has nothing but PTX for GPU 0; the first start then takes minutes."""
    capability = gpu.capabilities(gpu.facts(context)).get(0)
    return capability is not None and gpu.runs_on(capability, context.backend.architectures()) == "ptx"
