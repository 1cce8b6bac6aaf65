"""Learning-rate decay."""

from __future__ import annotations

from smoke import compare, rules
from smoke.context import Context, Result, passed

ID = "lr-decay"
KIND = "smoke"
ASSERTS = "decay by steps and exponential decay give the rates of their formulas"
APPLIES: dict[str, tuple[str, ...]] = {}

SETTINGS = {"rate": 0.1, "every": 4, "factor": 0.5}


def run(context: Context) -> Result:
    """Ask the framework's schedule for twelve rates."""
    found = {}
    for schedule in ("step", "exponential"):
        rates = context.backend.decay(schedule, SETTINGS, 12)
        expected = rules.decay(schedule, SETTINGS, 12)
        compare.within(rates, expected, 1e-5, schedule + " decay", rates=rates)
        found[schedule] = rates
    return passed(found)
