"""What does not fit a schema is found without looking for all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema
import pytest

from dlmatrix.document.result import wrong_in

SCHEMA = {"type": "object", "properties": {"envs": {"type": "array", "items": {"type": "string"}}}}


def test_a_million_errors_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    really = jsonschema.exceptions.best_match

    def best(errors: Iterable[Any]) -> Any:
        seen.extend(errors)
        return really(iter(seen))

    monkeypatch.setattr(jsonschema.exceptions, "best_match", best)
    wrong = wrong_in({"envs": [None] * 100_000}, SCHEMA)
    assert wrong
    assert "is not of type 'string'" in wrong.message
    assert 0 < len(seen) < 100
    monkeypatch.undo()
    assert wrong_in({"envs": ["x"]}, SCHEMA) is None
