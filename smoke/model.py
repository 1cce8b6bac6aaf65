"""The one CNN, described once; every backend and the NumPy reference build it from here.

conv32 - pool - conv64 - pool - dense128 - dense10 on 28x28x1, 3x3 kernels, valid padding.
"""

from __future__ import annotations

INPUT = (28, 28, 1)
CLASSES = 10
KERNEL = 3
POOL = 2
CONVOLUTIONS = (("conv1", 32), ("conv2", 64))
DENSE = (("dense1", 128), ("dense2", CLASSES))
PARAMETERS = 225034


def shapes() -> dict[str, tuple[int, ...]]:
    """{weight's name: shape} in the order of the layers: kernels HWIO or (in, out), as TensorFlow keeps them."""
    found: dict[str, tuple[int, ...]] = {}
    size, channels = INPUT[0], INPUT[2]
    for name, filters in CONVOLUTIONS:
        found[name + "/kernel"] = (KERNEL, KERNEL, channels, filters)
        found[name + "/bias"] = (filters,)
        size, channels = (size - KERNEL + 1) // POOL, filters
    width = size * size * channels
    for name, units in DENSE:
        found[name + "/kernel"] = (width, units)
        found[name + "/bias"] = (units,)
        width = units
    return found


def last_map() -> tuple[int, int, int]:
    """(height, width, channels) of what is flattened into the first dense layer."""
    size = INPUT[0]
    for _ in CONVOLUTIONS:
        size = (size - KERNEL + 1) // POOL
    return size, size, CONVOLUTIONS[-1][1]
