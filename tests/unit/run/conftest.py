"""The plan that the tests of a run have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import Limits, Measuring, Plan, make_plan


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    env = select(matrix, ["cpu-torch-2.13"])[0]
    plan = make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits(timeout_seconds=1))
    return replace(plan, measuring=Measuring(seconds=0))
