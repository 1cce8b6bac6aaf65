"""The same seed gives the same bits: always on a CPU, on a GPU where the framework is asked for it."""

from __future__ import annotations

import json
import os
from typing import Any

from smoke import determinism, digits
from smoke.context import Context, Result, failed, passed
from smoke.interpreter import Interpreter

ID = "determinism"
KIND = "smoke"
ASSERTS = (
    "two trainings from one seed give the same loss bits on a CPU, and on a GPU with the framework's own switch for "
    "deterministic operations; what differs, or what the framework refuses, is named"
)
APPLIES: dict[str, tuple[str, ...]] = {}

#: Relative difference of the first losses up to which the order of sums explains it; parity holds logits to 1e-5.
SAME_START = 1e-4


def run(context: Context) -> Result:
    """Train twice; on a GPU once more in a process with the switch on."""
    default = determinism.twice(context.backend, context.once("digits", digits.Digits))
    if context.backend.gpus():
        return with_the_switch(context, default)
    if not default["same bits"]:
        default["operations"] = determinism.unstable(context.backend)
        return failed(f"losses differ {where(default)}", None, default)
    return passed(default)


def with_the_switch(context: Context, default: dict[str, Any]) -> Result:
    """The verdict on a GPU.

    By default cuDNN's algorithms and atomic additions promise no equal bits: that is said, and held against nobody.
    """
    wrong = Interpreter(context, "smoke.determinism").run(context.folder)
    if wrong:
        reason = "the process with deterministic operations did not come to its end: {}"
        return failed(reason.format(wrong), "", wrong, default=default)
    with open(os.path.join(context.folder, determinism.ANSWER)) as stream:
        answer = json.load(stream)
    return judge(default, answer)


def judge(default: dict[str, Any], answer: dict[str, Any]) -> Result:
    """The verdict on what smoke.determinism found with the switch on."""
    found = {"by default": default, "with the switch": answer}
    expected = {"with the switch": {"same bits": True}}
    if not all(way.get("start", 0.0) <= SAME_START for way in found.values()):
        return failed("one seed gives two networks: their first losses differ", {"start": SAME_START}, found)
    if "refused" in answer:
        words = ", ".join(f"{name} ({words})" for name, words in sorted(answer["refused"].items()))
        return Result("skipped", "with {} the framework refuses {}".format(answer["switch"], words), expected, found)
    if answer["same bits"]:
        return passed(found, expected)
    reason = "with {} losses differ {}".format(answer["switch"], where(answer))
    if not answer["promised"]:
        return Result("skipped", reason + "; this framework promises no equal bits in a Session", expected, found)
    return failed(reason, expected, found)


def where(found: dict[str, Any]) -> str:
    """From which step on, and because of what."""
    names = ", ".join(found["operations"]) or "none alone: the order of sums between them"
    return "from step {} on; operations whose bits change: {}".format(found["step"], names)
