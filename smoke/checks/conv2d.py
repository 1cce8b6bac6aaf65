"""Convolution computes the right numbers, with every odd shape at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import numpy

from smoke import compare
from smoke.context import Context, Result

if TYPE_CHECKING:
    from smoke.reference import Arrays, Attributes

ID = "conv2d"
KIND = "smoke"
ASSERTS = "convolution equals float64 NumPy, forward and gradient; also with stride, padding and dilation all odd"
APPLIES: dict[str, tuple[str, ...]] = {}


def case(
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Arrays, Attributes]:
    """Random arrays of these shapes, with the attributes."""
    generator = numpy.random.RandomState(0)
    arrays = {
        "x": generator.standard_normal(shape),
        "kernel": generator.standard_normal(kernel),
        "bias": generator.standard_normal(kernel[-1]),
    }
    return arrays, {"stride": stride, "pad": pad, "dilation": dilation}


CASES: dict[str, Callable[[], tuple[Arrays, Attributes]]] = {
    "plain": lambda: case((4, 12, 11, 3), (3, 3, 3, 8)),
    "strided": lambda: case((2, 15, 14, 4), (3, 5, 4, 6), stride=(2, 1), pad=(4, 2)),
    "dilated": lambda: case((2, 15, 14, 4), (3, 5, 4, 6), pad=(4, 2), dilation=(3, 1)),
    # The shape of PyTorch's own smoke test, .ci/pytorch/smoke_test/smoke_test.py, in its repository.
    "odd": lambda: case((20, 50, 100, 16), (3, 5, 16, 33), stride=(2, 1), pad=(4, 2), dilation=(3, 1)),
}


def run(context: Context) -> Result:
    """Compare every case."""
    return compare.operation(context, "conv2d", {name: make() for name, make in CASES.items()})
