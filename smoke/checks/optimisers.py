"""SGD, momentum, RMSprop and Adam, step by step against their formulas."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import compare, rules
from smoke.context import Context, FailedError, Result, passed

ID = "optimisers"
KIND = "smoke"
ASSERTS = "three steps of SGD, momentum, RMSprop and Adam equal their formulas, as the framework defines them"
APPLIES: dict[str, tuple[str, ...]] = {}

#: Epsilons large enough that where they stand shows.
SETTINGS = {
    "sgd": {"rate": 0.1},
    "momentum": {"rate": 0.1, "momentum": 0.9},
    "rmsprop": {"rate": 0.1, "rho": 0.9, "epsilon": 0.01},
    "adam": {"rate": 0.1, "beta1": 0.9, "beta2": 0.999, "epsilon": 0.01},
}
#: Where frameworks differ by definition. TensorFlow 1 starts RMSprop's mean square from one; Keras moved
#: epsilon under the root with its new optimisers (2.11).
DEFINITIONS: dict[str, dict[str, list[Any]]] = {
    "torch": {"adam": ["epsilon after"], "rmsprop": [("epsilon outside", 0)]},
    "tf1": {"adam": ["epsilon before"], "rmsprop": [("epsilon inside", 1)]},
    "tf2": {"adam": ["epsilon before"], "rmsprop": [("epsilon inside", 0), ("epsilon outside", 0)]},
}
TOLERANCE = 1e-5


def run(context: Context) -> Result:
    """Give every rule the same gradients; name the definition that fits."""
    generator = numpy.random.RandomState(0)
    weight = generator.standard_normal((5, 7)).astype("float32")
    gradients = [generator.standard_normal((5, 7)).astype("float32") for _ in range(3)]
    found = {}
    for rule, settings in SETTINGS.items():
        steps = context.backend.optimise(rule, settings, weight, gradients)
        sizes = {}
        for definition in DEFINITIONS[context.framework].get(rule, [None]):
            expected = rules.optimise(rule, settings, weight, gradients, definition)
            sizes[str(definition or "the textbook's")] = compare.difference(steps, expected)
        best = min(sizes, key=sizes.__getitem__)
        if not sizes[best] <= TOLERANCE:
            raise FailedError(
                f"{rule} takes another step than its formula: the update is wrong",
                {"definitions": sorted(sizes), "relative difference": TOLERANCE},
                sizes,
            )
        found[rule] = {"definition": best, "difference": sizes[best]}
    return passed(found)
