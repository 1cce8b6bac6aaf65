"""Make parity.npz, initial weights and the float64 answers: ``python -m smoke.data.make_parity`` (half a minute)."""

from __future__ import annotations

import os
from typing import Any

import numpy

from smoke import digits, parity, reference


def answers(weights: dict[str, numpy.ndarray], data: digits.Digits) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(logits, losses) of the float64 reference from these weights."""
    weights = {name: weight.astype(float) for name, weight in weights.items()}
    logits = reference.logits(weights, data.test_x[: parity.IMAGES])
    losses, _ = reference.train(weights, parity.batches(data), parity.RATE)
    return logits, numpy.asarray(losses)


def main() -> None:
    """Write the file and say how large it is."""
    weights = parity.initial()
    logits, losses = answers(weights, digits.Digits())
    target = os.path.join(digits.DATA, "parity.npz")
    # A path separator in a name would make folders in the archive.
    stored: dict[str, Any] = {name.replace("/", "."): weight for name, weight in weights.items()}
    numpy.savez_compressed(target, logits=logits, losses=losses, **stored)
    print(target, os.path.getsize(target))


if __name__ == "__main__":
    main()
