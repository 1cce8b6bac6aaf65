"""The same numbers as the float64 reference, and so as every other framework."""

from __future__ import annotations

from typing import Any

import numpy

from smoke import compare, digits, parity, reference
from smoke.context import Context, Result, passed

ID = "parity"
KIND = "smoke"
ASSERTS = "from the shipped weights: logits within 1e-5, gradients within 1e-4, the losses of 50 SGD steps within 1e-3"
APPLIES: dict[str, tuple[str, ...]] = {}

#: Largest relative difference. Weights and images have at most 10 bits of mantissa (initial() and the digits' 16
#: levels), so TF32 rounds only what one layer hands to the next: by half a step of 1e-3 to the nearest, by a whole one
#: where it is cut off. The reference in that arithmetic, to the nearest, cut off, and with 48 draws of noise of a whole
#: step: logits 0.6e-3, 1.1e-3, up to 2.5e-3; losses 3e-3, 5e-3, -; gradients 1.2e-2, 1.3e-2, up to 3.5e-2, because a
#: ReLU or maximum that rounding turns over moves an image's whole share. Bfloat16's logits are 3.6e-3 off.
TOLERANCE = {
    False: {"logits": 1e-5, "gradients": 1e-4, "losses": 1e-3},
    True: {"logits": 3e-3, "gradients": 5e-2, "losses": 2e-2},
}


def run(context: Context) -> Result:
    """Every mode of the framework; on a GPU with TF32 off and on."""
    problem = context.once("parity", lambda: parity.Problem(context.once("digits", digits.Digits)))
    weights = {name: weight.astype(float) for name, weight in problem.weights.items()}
    own = reference.logits(weights, problem.images)
    compare.within(own, problem.logits, 1e-12, "this NumPy's own float64 result, beside the shipped one")
    _, gradients = reference.loss_and_gradients(weights, *problem.batches[0])
    expected = {"logits": problem.logits, "gradients": gradients, "losses": problem.losses}
    document, found = {"reference": parity.short(expected)}, {}
    backend = context.backend
    for tf32 in (False, True) if backend.gpus() else (False,):
        for mode in backend.MODES:
            name = mode + (", TF32" if tf32 else "")
            backend.precision(tf32)
            try:
                observed = parity.observe(backend, problem, mode)
            finally:
                backend.precision(False)
            document[name] = parity.short(observed)
            found[name] = sizes(observed, expected)
            context.record("parity", document)
            for what, size in found[name].items():
                compare.judge(size, TOLERANCE[tf32][what], f"{what} ({name})", differences=found)
    return passed(found, TOLERANCE[False])


def sizes(observed: dict[str, Any], expected: dict[str, Any]) -> dict[str, float]:
    """The largest relative difference of logits, of any weight's gradient and of any step's loss."""
    gradients = [
        compare.difference(observed["gradients"].get(name, ()), wanted)
        for name, wanted in expected["gradients"].items()
    ]
    losses = numpy.abs(numpy.subtract(observed["losses"], expected["losses"])) / expected["losses"]
    return {
        "logits": compare.difference(observed["logits"], expected["logits"]),
        "gradients": max(gradients),
        "losses": float(losses.max()),
    }
