"""The page of a run in which everything happened, and its result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlmatrix.report import write as report
from dlmatrix.report.history import History
from tests.unit.report.page import sample
from tests.unit.report.page.run_page import page_of
from tests.unit.report.page.tree import Page


@pytest.fixture(scope="module")
def page() -> Page:
    """Every ending, with a history."""
    past = History(entries=tuple(sample.past()), unreadable=("broken<.json",))
    return page_of(sample.result(), past)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return json.loads(report.dumps(sample.result()))  # type: ignore[no-any-return]
