"""The same seed gives the same bits."""

import numpy

from smoke import determinism
from smoke.context import failed, passed

ID = "determinism"
KIND = "smoke"
ASSERTS = "two trainings from one seed give the same loss bits on this machine, or the operations that differ are named"
APPLIES = {}


def run(context):
    """Train twice; where the bits differ, look for the operation."""
    first, second = determinism.losses(context), determinism.losses(context)
    if first == second:
        return passed({"steps": len(first), "last": first[-1]})
    step = next(index for index, pair in enumerate(zip(first, second)) if pair[0] != pair[1])
    found = {"step": step, "difference": float(numpy.abs(numpy.subtract(first, second)).max())}
    found["operations"] = determinism.unstable(context)
    names = ", ".join(found["operations"]) or "none alone: the order of sums between them"
    return failed("losses differ from step {} on; operations whose bits change: {}".format(step, names), None, found)
