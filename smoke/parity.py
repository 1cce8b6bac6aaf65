"""The same weights, the same batches, the same steps: what every framework has to reproduce.

Data: data/parity.npz, made by data/make_parity.py.
"""

from __future__ import annotations

import os
from typing import Any

import numpy

from smoke import digits, model

#: Small enough that one ReLU which rounding puts on the other side does not show in the losses. At 0.005, weights
#: that differ by 1e-7 gave losses that differ by up to 1 % after 50 steps; at 0.002 by 3e-6.
RATE = 0.002
STEPS = 50
BATCH = 64
IMAGES = 16
SAMPLES = 32


class Problem:
    """Initial weights, batches, and the float64 answers that are shipped: logits and the loss of every step."""

    def __init__(self, data: digits.Digits) -> None:
        with numpy.load(os.path.join(digits.DATA, "parity.npz")) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.logits, self.losses = arrays.pop("logits"), arrays.pop("losses")
        self.weights = {name.replace(".", "/"): array.astype("float32") for name, array in arrays.items()}
        self.images = data.test_x[:IMAGES]
        self.batches = batches(data)


def batches(data: digits.Digits) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    """The first 50 whole batches of 64 of three epochs, each in its own order."""
    found: list[tuple[numpy.ndarray, numpy.ndarray]] = []
    for epoch in range(3):
        whole = digits.batches(data.train_x, data.train_y, BATCH, seed=100 + epoch)
        found += [(x, y) for x, y in whole if len(x) == BATCH]
    return found[:STEPS]


def initial() -> dict[str, numpy.ndarray]:
    """Uniform within 3/sqrt(fan-in), small biases; in float16, so that every framework starts from the same bits."""
    generator = numpy.random.RandomState(2026)
    found = {}
    for name, shape in model.shapes().items():
        field = int(numpy.prod(shape[:-2]))
        bound = 3 / numpy.sqrt(field * shape[-2]) if len(shape) > 1 else 0.05
        found[name] = generator.uniform(-bound, bound, shape).astype("float16")
    return found


def observe(backend: Any, problem: Problem, mode: str) -> dict[str, Any]:
    """logits, gradients of the first batch and the losses of 50 SGD steps, as arrays."""
    classifier = backend.classifier(optimiser="sgd", rate=RATE, mode=mode)
    try:
        classifier.assign(problem.weights)
        found = {"logits": classifier.logits(problem.images)}
        _, found["gradients"] = classifier.gradients(*problem.batches[0])
        found["losses"] = [classifier.step(x, y) for x, y in problem.batches]
    finally:
        classifier.close()
    return found


def short(found: dict[str, Any]) -> dict[str, Any]:
    """What the document carries: all logits and losses; of each gradient its largest value and 32 samples."""

    def rounded(values: Any) -> list[float]:
        # Nine digits give back every float32.
        return [float(f"{value:.9g}") for value in numpy.ravel(values)]

    gradients = {}
    for name, gradient in found["gradients"].items():
        step = max(1, gradient.size // SAMPLES)
        samples = numpy.ravel(gradient)[::step][:SAMPLES]
        gradients[name] = {"scale": rounded(numpy.abs(gradient).max())[0], "samples": rounded(samples)}
    return {
        "logits": [rounded(row) for row in found["logits"]],
        "gradients": gradients,
        "losses": rounded(found["losses"]),
    }
