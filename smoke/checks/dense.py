"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

from smoke import compare
from smoke.context import Context, Result

if TYPE_CHECKING:
    from smoke.reference import Arrays, Attributes

ID = "dense"
KIND = "smoke"
ASSERTS = "the fully connected layer equals float64 NumPy, forward and gradient"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare a layer of the CNN's own size and a small one."""
    generator = numpy.random.RandomState(0)

    def case(rows: int, width: int, units: int) -> tuple[Arrays, Attributes]:
        shapes = {"x": (rows, width), "kernel": (width, units), "bias": (units,)}
        return {name: generator.standard_normal(shape) for name, shape in shapes.items()}, {}

    return compare.operation(context, "dense", {"cnn": case(64, 1600, 128), "small": case(5, 7, 3)})
