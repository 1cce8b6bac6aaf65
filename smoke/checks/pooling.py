"""Max, average and global average pooling."""

from __future__ import annotations

import numpy

from smoke import compare
from smoke.context import Context, Result, passed

ID = "pooling"
KIND = "smoke"
ASSERTS = "max, average and global average pooling equal float64 NumPy, forward and gradient, overlapping windows too"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare the three."""
    x = numpy.random.RandomState(0).standard_normal((3, 11, 13, 5))
    cases = {
        "2/2": ({"x": x}, {"size": 2, "stride": 2}),
        "3/2": ({"x": x}, {"size": 3, "stride": 2}),
    }
    found = {name: compare.operation(context, name, cases).found for name in ("max_pool", "avg_pool")}
    found["global_avg_pool"] = compare.operation(context, "global_avg_pool", {"all": ({"x": x}, {})}).found
    return passed(found)
