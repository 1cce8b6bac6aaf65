"""How one env went, or how far it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlmatrix.document.check import Outcome
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import EXIT_INTERRUPTED
from dlmatrix.matrix.model import Env


@dataclass(frozen=True, kw_only=True)
class EnvResult:
    """How one env went. ``exit_code`` is 0 for passed, 77 for skipped, else the failure's own (130: interrupted)."""

    env: Env
    outcome: Outcome
    exit_code: int
    reason: str = ""
    next_step: str = ""
    prepared: Prepared | None = None
    #: seconds per step: prepare, start (to the started process), run
    seconds: Mapping[str, float] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    log: tuple[str, ...] = ()


def unfinished(env: Env) -> EnvResult:
    """How an env stands before its end: so it went, where the run ends before it."""
    reason = "interrupted before its end"
    return EnvResult(
        env=env, outcome=Outcome.ERROR, exit_code=EXIT_INTERRUPTED, reason=reason, next_step="run it again"
    )


def interrupted(results: Iterable[EnvResult]) -> bool:
    """Whether an env did not come to its end."""
    return any(result.exit_code == EXIT_INTERRUPTED for result in results)


def nothing_came(results: Iterable[EnvResult]) -> bool:
    """Whether no env has anything to show: none came as far as its checks' document, and none ended by itself."""
    return not any(
        result.document or (result.outcome is not Outcome.SKIPPED and result.exit_code != EXIT_INTERRUPTED)
        for result in results
    )
