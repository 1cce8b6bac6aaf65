"""From what came out of an environment to a verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlmatrix.engines.protocol import Completed
from dlmatrix.errors import (
    ContractError,
    KilledError,
)
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.verdict import exit_code, read_document, verdict
from tests.unit.documents import document
from tests.unit.run.checks import check


@pytest.mark.parametrize(
    ("variant", "checks", "ended", "outcome", "code", "reason"),
    [
        ("cpu", [check("passed"), check("passed")], 0, "passed", 0, "2 passed, 0 skipped"),
        ("cpu", [check("passed"), check("skipped")], 0, "passed", 0, "1 passed, 1 skipped"),
        ("cpu", [check("passed"), check("failed"), check("error")], 1, "failed", 1, "verify-failed: because"),
        ("cpu", [check("passed"), check("error")], 1, "error", 1, "verify-error: because"),
        ("cpu", [check("passed"), check("error")], 13, "error", 13, "verify-error: because"),
        ("cpu", [check("passed"), check("error")], 14, "error", 14, "verify-error: because"),
        ("cpu", [check("failed"), check("error")], 13, "failed", 1, "verify-failed: because"),
        # A skip is never a pass.
        ("cpu", [check("skipped"), check("skipped")], 0, "skipped", 77, "because (so do verify-skipped)"),
        ("cpu", [], 1, "skipped", 77, "no check ran"),
        ("cpu", [check("passed"), check("skipped", reason=" ")], 0, "error", 11, "without a reason: verify-skipped"),
        ("cpu", [check("passed"), check("skipped", "detection")], 0, "passed", 0, "1 passed, 1 skipped"),
        ("gpu", [check("passed"), check("passed", "detection")], 0, "passed", 0, "2 passed"),
        ("gpu", [check("passed"), check("skipped", "detection")], 0, "skipped", 77, "passed on the CPU; because"),
        (
            "gpu",
            [check("passed", "detection"), check("skipped", "detection", reason="no matrix product on it")],
            *(0, "skipped", 77, "passed on the CPU; no matrix product on it"),
        ),
        ("gpu", [check("passed")], 0, "skipped", 77, "passed on the CPU; nothing looked for a GPU"),
        (
            "gpu",
            [{**check("skipped"), "data": {"no_room": True}}, check("skipped", "detection", reason="300 MiB free")],
            *(0, "skipped", 77, "passed as far as it went; 300 MiB free"),
        ),
        ("gpu", [check("passed"), check("failed", "detection")], 1, "failed", 1, "detection-failed: because"),
    ],
)
def test_the_verdict(
    *, variant: str, checks: list[dict[str, Any]], ended: int, outcome: str, code: int, reason: str
) -> None:
    found = verdict(variant, document(*checks), ended)
    assert (found[0].value, found[1]) == (outcome, code)
    assert reason in found[2]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 77], 77), ([77], 77), ([0, 1, 77], 1), ([0, 13, 77], 13), ([13, 13], 13), ([13, 14], 1)],
)
def test_one_exit_code_for_a_whole_run(codes: list[int], code: int) -> None:
    assert exit_code(codes) == code


@pytest.mark.parametrize(
    ("checks", "code", "says"),
    [
        ([check("passed")], 1, "exit code 1, and their document says that nothing went wrong"),
        ([check("passed")], 13, "exit code 13, and their document says that nothing went wrong"),
        ([check("failed")], 0, "exit code 0, and their document says that verify-failed went wrong"),
    ],
)
def test_an_exit_code_that_contradicts_the_document_is_believed_as_little_as_the_document(
    plan: Plan, checks: list[dict[str, Any]], code: int, says: str
) -> None:
    completed = Completed(exit_code=code, stdout=json.dumps(document(*checks)).encode(), start_seconds=0.0)
    with pytest.raises(ContractError, match=says):
        read_document(plan, completed)


def test_killed_for_memory_is_said_where_the_engine_knows(plan: Plan) -> None:
    completed = Completed(exit_code=137, stdout=b"", start_seconds=0.0, killed_for_memory=True)
    with pytest.raises(KilledError, match="was killed for memory"):
        read_document(plan, completed)
