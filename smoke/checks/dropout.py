"""Dropout drops, scales, and is off at inference."""

from __future__ import annotations

import math

import numpy

from smoke.context import Context, FailedError, Result, passed

ID = "dropout"
KIND = "smoke"
ASSERTS = "dropout zeroes the rate's share, scales the rest by 1/(1-rate), follows the seed and is off at inference"
APPLIES: dict[str, tuple[str, ...]] = {}

RATE = 0.3


def run(context: Context) -> Result:
    """Drop from an array of ones and look."""
    ones = numpy.ones((200, 500), "float32")
    dropped = context.backend.dropout(ones, RATE, True, seed=1)
    share = float((dropped == 0).mean())
    error = 5 * math.sqrt(RATE * (1 - RATE) / ones.size)
    if abs(share - RATE) > error:
        raise FailedError("dropout zeroes another share than its rate", RATE, share)
    kept = dropped[dropped != 0]
    if not numpy.allclose(kept, 1 / (1 - RATE), rtol=1e-6):
        raise FailedError("dropout does not scale what it keeps", 1 / (1 - RATE), float(kept.mean()))
    if not (dropped == context.backend.dropout(ones, RATE, True, seed=1)).all():
        raise FailedError("the same seed drops other elements")
    if (dropped == context.backend.dropout(ones, RATE, True, seed=2)).all():
        raise FailedError("another seed drops the same elements")
    inferred = context.backend.dropout(ones, RATE, False, seed=1)
    if not (inferred == ones).all():
        raise FailedError("dropout is on at inference", "unchanged", float((inferred == 0).mean()))
    return passed({"share": share}, {"share": RATE, "standard errors": 5})
