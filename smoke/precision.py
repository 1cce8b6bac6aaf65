"""The formats that numbers are multiplied in: what each keeps of a number, and how far its neighbours are."""

from __future__ import annotations

import numpy

#: Stored bits of the mantissa. TF32 is float32 with the last 13 bits cut off as a factor enters the multiplier.
BITS = {"float64": 52, "float32": 23, "tf32": 10, "float16": 10, "bfloat16": 7}


def step(name: str) -> float:
    """The distance from 1 to the next number: rounding to nearest errs by half of it, cutting off by all of it."""
    return 2.0 ** -BITS[name]


def rounded(array: numpy.ndarray, name: str) -> numpy.ndarray:
    """The array with every float rounded to a number of the format (to nearest, ties to even), as float64.

    A framework that is given these numbers has nothing left to round, however its hardware would do it.
    """
    array = numpy.asarray(array)
    if array.dtype.kind != "f":
        return array
    if name in ("float64", "float32", "float16"):
        return array.astype(name).astype(float)
    # NumPy has neither format: both are float32 without its last bits.
    bits = array.astype("float32").view("uint32")
    cut = numpy.uint32(BITS["float32"] - BITS[name])
    one = numpy.uint32(1)
    bits = bits + ((one << (cut - one)) - one) + ((bits >> cut) & one)
    return (bits >> cut << cut).view("float32").astype(float)
