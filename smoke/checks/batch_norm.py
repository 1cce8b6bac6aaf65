"""Batch normalisation in training and at inference."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import compare, precision, rules
from smoke.context import Context, FailedError, Result, passed

ID = "batch-norm"
KIND = "smoke"
ASSERTS = "batch normalisation equals float64 NumPy: training, gradient, running statistics, inference"
APPLIES: dict[str, tuple[str, ...]] = {}

#: Keras keeps this share of the running statistics at each step; torch calls one minus it momentum.
KEEP = 0.9
STEPS = 3
TOLERANCE = 5e-5
#: The running variance is the unbiased one, but Keras 3 keeps the batch's own.
UNBIASED = {"torch": (True,), "tf1": (True,), "tf2": (True, False)}


def run(context: Context) -> Result:
    """Compare; the definition of the running variance that fits is named."""
    generator = numpy.random.RandomState(0)
    x = (3 + 2 * generator.standard_normal((4, 3, 2, 5))).astype("float32")
    settings: dict[str, Any] = {"keep": KEEP, "epsilon": 1e-3}
    arrays = (1 + generator.rand(5), generator.standard_normal(5), generator.standard_normal(x.shape))
    for key, array in zip(("gamma", "beta", "upstream"), arrays):
        settings[key] = precision.rounded(array, "float32")
    found = context.backend.batch_norm(x, settings, STEPS)
    tried = {}
    for unbiased in UNBIASED[context.framework]:
        expected = rules.batch_norm(x, settings, STEPS, unbiased)
        name = "unbiased" if unbiased else "biased"
        tried[name] = {key: compare.difference(found[key], expected[key]) for key in expected}
    best = min(tried, key=lambda name: max(tried[name].values()))
    wrong = sorted(key for key, size in tried[best].items() if not size <= TOLERANCE)
    if wrong:
        raise FailedError(
            "{} differ from the formula: statistics, momentum or epsilon are wrong".format(", ".join(wrong)),
            f"relative difference <= {TOLERANCE:g}",
            tried[best],
        )
    return passed({"running variance": best, "differences": tried[best]})
