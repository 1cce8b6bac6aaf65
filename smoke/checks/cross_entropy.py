"""The loss."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import compare
from smoke.context import Context, Result

ID = "cross-entropy"
KIND = "smoke"
ASSERTS = "softmax cross-entropy with integer labels equals float64 NumPy, forward and gradient, for large logits too"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare, large logits included."""
    generator = numpy.random.RandomState(0)
    logits, labels = generator.standard_normal((12, 10)), generator.randint(0, 10, 12)
    cases: dict[str, Any] = {
        "small": ({"logits": logits, "labels": labels}, {}),
        "large": ({"logits": 100 * logits, "labels": labels}, {}),
    }
    return compare.operation(context, "cross_entropy", cases)
