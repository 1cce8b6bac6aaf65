"""Whether an env can be used, in one word and a reason: what somebody asks who only wants to work with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlmatrix.document import rates
from dlmatrix.errors import (
    EXIT_INTERRUPTED,
    BaseMissingError,
    BusyError,
    DiskFullError,
    EngineError,
    NetworkError,
)

#: In the order in which they are told.
FIT, UNFIT, CPU_ONLY, UNTRIED = WORDS = ("fit", "unfit", "cpu-only", "untried")
#: How a verdict begins where a gpu env's checks passed without a GPU.
ON_CPU = "passed on the CPU"
#: What ends a run before the env has shown anything of itself.
_NOTHING_SEEN = (
    EXIT_INTERRUPTED,
    *(error.exit_code for error in (BaseMissingError, BusyError, DiskFullError, EngineError, NetworkError)),
)


def fitness(env: Mapping[str, Any]) -> tuple[str, str]:
    """An env's part of result.json as (word, because); of one that is fit there is nothing to explain."""
    outcome, reason = env["outcome"], str(env["reason"])
    if outcome == "passed":
        return FIT, ""
    if outcome == "skipped":
        if reason.startswith(ON_CPU):
            return CPU_ONLY, reason.removeprefix(ON_CPU).lstrip("; ")
        return UNTRIED, reason
    befell = outcome == "error" and env.get("exit_code") in _NOTHING_SEEN
    return (UNTRIED if befell else UNFIT), reason


def on_cpu(name: str, document: Mapping[str, Any] | None) -> bool:
    """Whether the figures of a gpu env come from the CPU, since no GPU was used.

    A row that was measured on a GPU tells it best: a witness of the detection may fail beside a GPU that computes.
    """
    if any(row.get("device") == "cuda" and row["outcome"] == "measured" for _, row in rates.rows_of(document)):
        return False
    outcomes = {check["outcome"] for check in (document or {}).get("checks", ()) if check.get("kind") == "detection"}
    return name.startswith("gpu-") and outcomes != {"passed"}
