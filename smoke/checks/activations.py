"""ReLU and softmax."""

import numpy

from smoke import compare
from smoke.context import passed

ID = "activations"
KIND = "smoke"
ASSERTS = "ReLU and softmax equal float64 NumPy, forward and gradient; softmax of large logits stays finite"
APPLIES = {}


def run(context):
    """Compare, large values included."""
    x = numpy.random.RandomState(0).standard_normal((6, 10))
    cases = {"small": ({"x": x}, {}), "large": ({"x": 100 * x}, {})}
    found = {name: compare.operation(context, name, cases).found for name in ("relu", "softmax")}
    return passed(found)
