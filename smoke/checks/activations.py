"""ReLU and softmax."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import compare
from smoke.context import Context, Result, passed

ID = "activations"
KIND = "smoke"
ASSERTS = "ReLU and softmax equal float64 NumPy, forward and gradient; softmax of large logits stays finite"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare, large values included."""
    x = numpy.random.RandomState(0).standard_normal((6, 10))
    cases: dict[str, Any] = {"small": ({"x": x}, {}), "large": ({"x": 100 * x}, {})}
    found = {name: compare.operation(context, name, cases).found for name in ("relu", "softmax")}
    return passed(found)
