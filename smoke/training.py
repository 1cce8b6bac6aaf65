"""Train the CNN on the digits, once per run."""

import numpy

from smoke import digits

BATCH = 64


class Trained:
    """A trained classifier and how its training went."""

    def __init__(self, classifier, epochs, test_accuracy, not_finite):
        self.classifier = classifier
        self.epochs = epochs
        self.test_accuracy = test_accuracy
        self.not_finite = not_finite


def accuracy(classifier, x, y):
    """Share of images whose largest logit is the label's."""
    return float((classifier.logits(x).argmax(axis=1) == y).mean())


def train(backend, data, epochs, seed=0):
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


def trained(context, epochs=10):
    """The network that this run trained."""
    return context.once("trained", lambda: train(context.backend, context.once("digits", digits.Digits), epochs))
