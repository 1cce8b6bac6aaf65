"""What training wrote down computes the same in a fresh process."""

from __future__ import annotations

import os
from typing import Any, Mapping

import numpy

from smoke import compare, digits, interpreter, reload, spare, training
from smoke.context import Context, Result, failed, passed

ID = "reload"
KIND = "smoke"
ASSERTS = "the trained network, saved and restored in a fresh process, has the same weights and gives equal outputs"
APPLIES: dict[str, tuple[str, ...]] = {}

#: Largest relative difference of the logits of equal weights. A CPU takes the same way again. A GPU's libraries choose
#: anew among algorithms in each process, and each may be off by what parity allows float32: 1e-5.
TOLERANCE = {"cpu": 1e-6, "gpu": 2e-5}


def prepare(context: Context) -> None:
    """The fresh process of a cpu env is a fork that has computed nothing; a GPU's driver does not survive one."""
    if context.expect.get("variant") == "cpu":
        context.once(ID, lambda: spare.Spare(lambda folder: reload.restore(context.backend, folder)))


def run(context: Context) -> Result:
    """Save, start a process, restore there, compare its weights and logits."""
    classifier = training.trained(context).classifier
    images = context.once("digits", digits.Digits).test_x[: reload.IMAGES]
    weights, logits = classifier.weights(), classifier.logits(images)
    classifier.save(context.folder)
    wrong = context.once(ID, lambda: interpreter.Interpreter(context, "smoke.reload")).run(context.folder)
    if wrong:
        return failed(f"the fresh process did not come to its end: {wrong}", "", wrong)
    with numpy.load(os.path.join(context.folder, reload.RESTORED)) as restored:
        return judge(weights, logits, restored, TOLERANCE["gpu" if context.backend.gpus() else "cpu"])


def judge(
    weights: dict[str, numpy.ndarray], logits: numpy.ndarray, restored: Mapping[str, Any], tolerance: float
) -> Result:
    """The verdict on ``restored``: "logits", and each weight with dots for the slashes of its name."""
    lost = sorted(name for name, array in weights.items() if not _equal(array, restored, name.replace("/", ".")))
    if lost:
        return failed("saving loses weights: {}".format(", ".join(lost)), "equal bits", lost)
    found = restored["logits"]
    size = compare.difference(found, logits)
    if not size <= tolerance:
        return failed("equal weights compute something else in a fresh process", f"<= {tolerance:g}", size)
    return passed({"difference": size, "same bits": bool((found == logits).all())})


def _equal(array: numpy.ndarray, restored: Mapping[str, Any], name: str) -> bool:
    return name in restored and numpy.array_equal(array, restored[name])
