"""Train the CNN on the digits, once per run."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import digits
from smoke.context import Context

BATCH = 64


class Trained:
    """A trained classifier and how its training went."""

    def __init__(
        self, classifier: Any, epochs: list[dict[str, float]], test_accuracy: float, not_finite: list[str]
    ) -> None:
        self.classifier = classifier
        self.epochs = epochs
        self.test_accuracy = test_accuracy
        self.not_finite = not_finite


def accuracy(classifier: Any, x: numpy.ndarray, y: numpy.ndarray) -> float:
    """Share of images whose largest logit is the label's."""
    return float((classifier.logits(x).argmax(axis=1) == y).mean())


def train(backend: Any, data: digits.Digits, epochs: int, seed: int = 0) -> Trained:
    """Adam at 0.001, batches of 64; each epoch's mean loss and accuracy on the training part."""
    classifier = backend.classifier(seed=seed)
    found = []
    for epoch in range(epochs):
        losses = [classifier.step(x, y) for x, y in digits.batches(data.train_x, data.train_y, BATCH, seed + epoch)]
        score = accuracy(classifier, data.train_x, data.train_y)
        found.append({"loss": float(numpy.mean(losses)), "accuracy": score})
    loss, gradients = classifier.gradients(data.train_x[:BATCH], data.train_y[:BATCH])
    not_finite = [name for name, gradient in gradients.items() if not numpy.isfinite(gradient).all()]
    if not numpy.isfinite([loss] + [epoch["loss"] for epoch in found]).all():
        not_finite.insert(0, "loss")
    return Trained(classifier, found, accuracy(classifier, data.test_x, data.test_y), not_finite)


def trained(context: Context, epochs: int = 10) -> Trained:
    """The network that this run trained."""
    return context.once("trained", lambda: train(context.backend, context.once("digits", digits.Digits), epochs))
