"""One step of training changes every weight, in the direction of a smaller loss."""

from __future__ import annotations

import numpy

from smoke import digits
from smoke.context import Context, Result, failed, passed

ID = "training-step"
KIND = "smoke"
ASSERTS = (
    "forward, loss, backward and update: the update is minus the rate times the gradient, and the loss gets smaller"
)
APPLIES: dict[str, tuple[str, ...]] = {}

RATE = 0.01


def run(context: Context) -> Result:
    """One SGD step in every mode."""
    data = context.once("digits", digits.Digits)
    x, y = data.train_x[:64], data.train_y[:64]
    found = {}
    for mode in context.backend.MODES:
        classifier = context.backend.classifier(optimiser="sgd", rate=RATE, mode=mode)
        before = classifier.weights()
        loss, gradients = classifier.gradients(x, y)
        stepped = classifier.step(x, y)
        after = classifier.weights()
        later, _ = classifier.gradients(x, y)
        classifier.close()
        for name, gradient in gradients.items():
            moved = after[name] - before[name]
            if not numpy.abs(gradient).max() > 0:
                return failed(f"{name} ({mode}) gets no gradient", "a gradient", 0.0)
            if not numpy.allclose(moved, -RATE * gradient, rtol=1e-3, atol=1e-6 * RATE + 1e-7):
                return failed(f"{name} ({mode}) is not updated by its gradient")
        if abs(stepped - loss) > 1e-4 * abs(loss) or not later < loss:
            return failed("the loss does not get smaller", f"< {loss}", {"step": stepped, "after": later})
        found[mode] = {"before": loss, "after": later}
    return passed(found)
