"""Make digits.npz from scikit-learn's copy of the data set: ``python smoke/data/make_digits.py``."""

from __future__ import annotations

import os

import numpy
from sklearn.datasets import load_digits


def main() -> None:
    """Write 1797 8x8 images of 0..16 as uint8, and their labels."""
    bunch = load_digits()
    target = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.npz")
    numpy.savez_compressed(target, images=bunch.images.astype("uint8"), labels=bunch.target.astype("uint8"))
    print(target, os.path.getsize(target))


if __name__ == "__main__":
    main()
