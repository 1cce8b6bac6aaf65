"""The handwritten digits, as 28x28x1 floats in [0, 1].

"Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak; UCI Machine Learning
Repository; CC BY 4.0), see data/NOTICE.md and data/make_digits.py.
"""

from __future__ import annotations

import os
from typing import Iterator

import numpy

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")

TRAIN = 1437


class Digits:
    """train_x, train_y, test_x, test_y; float32 NHWC and int64."""

    def __init__(self, seed: int = 0) -> None:
        with numpy.load(os.path.join(DATA, "digits.npz")) as stored:
            small, labels = stored["images"], stored["labels"]
        images = small.repeat(3, axis=1).repeat(3, axis=2).astype("float32") / 16
        images = numpy.pad(images, ((0, 0), (2, 2), (2, 2)), "constant")[..., None]
        order = numpy.random.RandomState(seed).permutation(len(images))
        images, labels = images[order], labels[order].astype("int64")
        self.train_x, self.test_x = images[:TRAIN], images[TRAIN:]
        self.train_y, self.test_y = labels[:TRAIN], labels[TRAIN:]


def batches(x: numpy.ndarray, y: numpy.ndarray, size: int, seed: int) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
    """One epoch in a shuffled order; the last, incomplete batch included."""
    order = numpy.random.RandomState(seed).permutation(len(x))
    for start in range(0, len(x), size):
        chosen = order[start : start + size]
        yield x[chosen], y[chosen]
