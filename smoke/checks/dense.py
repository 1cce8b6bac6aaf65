"""The fully connected layer."""

import numpy

from smoke import compare

ID = "dense"
KIND = "smoke"
ASSERTS = "the fully connected layer equals float64 NumPy, forward and gradient"
APPLIES = {}


def run(context):
    """Compare a layer of the CNN's own size and a small one."""
    generator = numpy.random.RandomState(0)

    def case(rows, width, units):
        shapes = {"x": (rows, width), "kernel": (width, units), "bias": (units,)}
        return {name: generator.standard_normal(shape) for name, shape in shapes.items()}, {}

    return compare.operation(context, "dense", {"cnn": case(64, 1600, 128), "small": case(5, 7, 3)})
