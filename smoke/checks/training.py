"""The CNN learns real digits."""

from __future__ import annotations

from smoke import training
from smoke.context import Context, Result, failed, passed
from smoke.throughput import networks

ID = "training"
KIND = "smoke"
ASSERTS = "ten epochs of 64 on the digits: the loss falls, gradients are finite, held-out accuracy is at least 0.95"
APPLIES: dict[str, tuple[str, ...]] = {}

EPOCHS = 10
ACCURACY = 0.95


def run(context: Context) -> Result:
    """Train once; other checks reuse the trained network."""
    trained = training.trained(context, EPOCHS)
    epochs, accuracy = trained.epochs, trained.test_accuracy
    parameters = networks.parameters(trained.classifier.shapes())
    context.record("training", {"parameters": parameters, "epochs": epochs, "test_accuracy": accuracy})
    losses = [epoch["loss"] for epoch in epochs]
    expected = f"accuracy >= {ACCURACY}, a falling loss"
    found = {"accuracy": accuracy, "first_loss": losses[0], "last_loss": losses[-1]}
    if trained.not_finite:
        return failed("not finite: {}".format(", ".join(trained.not_finite)), expected, found)
    if not losses[-1] < 0.5 * losses[0]:
        return failed("the loss does not fall: gradients or the update are wrong", expected, found)
    if accuracy < ACCURACY:
        return failed("the network does not generalise: data, labels or the update are wrong", expected, found)
    return passed(found, expected)
