"""What the tests of a run say of checks."""

from __future__ import annotations

from typing import Any

from dlmatrix.matrix.load import load_matrix
from dlmatrix.run.outside import Outside
from dlmatrix.system.checkout import find_root
from tests.unit import documents

OUTSIDE = Outside(load_matrix(find_root()))


def check(outcome: str, kind: str = "verify", name: str = "", reason: str = "because") -> dict[str, Any]:
    return documents.check(name or f"{kind}-{outcome}", outcome, kind, "" if outcome == "passed" else reason)
