"""Glorot and He initialisation."""

from __future__ import annotations

import math

import numpy

from smoke.context import Context, FailedError, Result, passed

ID = "initialisers"
KIND = "smoke"
ASSERTS = "Glorot and He, uniform and normal, have the mean, spread and bounds of their formulas; a seed repeats them"
APPLIES: dict[str, tuple[str, ...]] = {}

SHAPES = {"conv": (3, 3, 32, 64), "dense": (1600, 128)}


def deviation(scheme: str, shape: tuple[int, ...]) -> float:
    """The formula's standard deviation."""
    field = int(numpy.prod(shape[:-2]))
    fan_in, fan_out = shape[-2] * field, shape[-1] * field
    return math.sqrt(2.0 / (fan_in + fan_out) if scheme.startswith("glorot") else 2.0 / fan_in)


def run(context: Context) -> Result:
    """Statistics of large kernels; the bounds leave five standard errors."""
    found = {}
    for scheme in ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal"):
        for name, shape in SHAPES.items():
            array = context.backend.initial(scheme, shape, seed=1)
            found[f"{scheme} {name}"] = judge(scheme, name, array, deviation(scheme, shape))
            if not (array == context.backend.initial(scheme, shape, seed=1)).all():
                raise FailedError(f"{scheme}: the same seed gives other values")
            if (array == context.backend.initial(scheme, shape, seed=2)).all():
                raise FailedError(f"{scheme}: another seed gives the same values")
    return passed(found)


def judge(scheme: str, name: str, array: numpy.ndarray, sigma: float) -> dict[str, float]:
    """{mean, deviation} relative to the formula's, or FailedError."""
    mean, spread = float(array.mean()) / sigma, float(array.std()) / sigma
    error = 5 / math.sqrt(array.size)
    wrong = []
    if abs(mean) > error:
        wrong.append("mean")
    # The kurtosis of the normal makes the deviation's standard error 1/sqrt(2n); the uniform's is smaller.
    if not abs(spread - 1) <= error:
        wrong.append("standard deviation")
    if scheme.endswith("uniform") and not 0.99 <= float(numpy.abs(array).max()) / (sigma * math.sqrt(3)) <= 1.0001:
        wrong.append("bound")
    found = {"mean": mean, "deviation": spread}
    if wrong:
        text = "{} of a {} kernel: {} off; its fan-in or gain is not the formula's"
        raise FailedError(text.format(scheme, name, " and ".join(wrong)), {"mean": 0, "deviation": 1}, found)
    return found
