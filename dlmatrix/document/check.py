"""One check of an env, as the contract with smoke/ has it (smoke/schema.json)."""

from __future__ import annotations

from enum import Enum
from typing import Any

#: One check's entry in a document.
Check = dict[str, Any]


class Outcome(str, Enum):
    """How a check, or a whole env, ended. A skip always carries a reason and is never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


def check_entry(
    name: str,
    asserts: str,
    outcome: Outcome,
    reason: str,
    *,
    kind: str,
    found: Any,
    expected: Any = None,
    seconds: float = 0.0,
    **data: Any,
) -> Check:
    """One check's entry; everything more is its data."""
    return {
        "id": name,
        "kind": kind,
        "asserts": asserts,
        "outcome": outcome.value,
        "reason": reason,
        "expected": expected,
        "found": found,
        "seconds": round(seconds, 4),
        "data": data,
    }
