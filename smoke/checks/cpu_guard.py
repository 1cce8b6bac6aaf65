"""A cpu env carries nothing of CUDA."""

from __future__ import annotations

import os

from smoke import distributions
from smoke.context import Context, Result, failed, passed

ID = "cpu-guard"
KIND = "verify"
ASSERTS = "no CUDA library among a cpu env's distributions, and no CUDA toolkit in its image"
APPLIES = {"variants": ("cpu",)}

TOOLKIT = "/usr/local/cuda"


def run(context: Context) -> Result:
    """Look at the distributions, and in an image for the toolkit's folder."""
    installed = context.distributions()
    names = distributions.cuda(installed) + (["triton"] if "triton" in installed else [])
    found = [f"{name} {installed[name]}" for name in names]
    # Outside a container that folder belongs to the machine.
    if context.expect.get("hermetic") and os.path.exists(TOOLKIT):
        found.append(TOOLKIT)
    if found:
        reason = "{} does not belong into a cpu env; take the CPU build and lock again"
        return failed(reason.format(", ".join(found)), [], found)
    return passed([], [])
