"""Whatever stands in a document out of an env, in whichever key: it is refused, or each file of the report shows it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlmatrix.document.result import read_result
from dlmatrix.engines.protocol import Completed
from dlmatrix.errors import ContractError
from dlmatrix.fleet.figures import figures
from dlmatrix.matrix.model import Matrix
from dlmatrix.report import history
from dlmatrix.run.result import EnvResult
from dlmatrix.run.verdict import read_document, verdict
from tests.unit import documents, hostile
from tests.unit.report.page import sample
from tests.unit.report.written import written


def _first(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _first(one) for key, one in value.items()}
    return [_first(one) for one in value[:1]] if isinstance(value, list) else value


#: The fullest document of the page's sample, with one of everything.
DOCUMENT = json.loads(
    json.dumps(_first(max((env["document"] for env in sample.result()["envs"]), key=lambda one: len(str(one)))))
)


def read(root: Path, document: Any, exit_code: int = 0) -> Any:
    """The document as a run reads it."""
    plan: Any = SimpleNamespace(env=SimpleNamespace(name="cpu-x"), root=root)
    return read_document(plan, Completed(exit_code=exit_code, stdout=json.dumps(document).encode(), start_seconds=0.0))


def taken(root: Path, document: Any) -> bool:
    """Whether a run takes it, whichever exit code comes with it."""
    for code in (0, 1):
        with contextlib.suppress(ContractError):
            read(root, document, code)
            return True
    return False


def shown(folder: Path, matrix: Matrix, document: Any) -> None:
    """All that is made of a document that was taken; no file has what a terminal or a browser obeys."""
    outcome, code, reason = verdict("cpu", document, 0)
    result = EnvResult(
        env=matrix.envs[0], outcome=outcome, exit_code=code, reason=reason, document=document, seconds={"run": 1.0}
    )
    report = written(folder / "report", [result])
    for name in ("report.html", "junit.xml", "summary.md"):
        text = (report / name).read_text(encoding="utf-8")
        assert not {"\x1b", "\x9b", "\0", "\u202e"} & set(text), name
        assert "<script>alert(1)" not in text, name
    data = read_result(report).data
    assert figures(data)
    assert history.core(data)


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_value_of_another_kind_is_refused_or_shown(root: Path, tmp_path: Path, matrix: Matrix, kind: str) -> None:
    value = {**hostile.VALUES, **hostile.JSON_ONLY}[kind]
    whole, alone = DOCUMENT, []
    # The deepest first, all that are taken in one document: a report is not drawn for each.
    for at in sorted(hostile.paths(DOCUMENT), key=len, reverse=True):
        changed = hostile.changed(whole, at, value)
        if taken(root, changed):
            place = DOCUMENT
            for key in at:
                place = place[key]  # type: ignore[index]
            if isinstance(place, (dict, list)):
                alone.append(hostile.changed(DOCUMENT, at, value))
            else:
                whole = changed
    for document in (whole, *alone):
        shown(tmp_path, matrix, document)


@pytest.mark.parametrize("kind", hostile.CONTENTS)
def test_a_document_that_is_none_is_refused(root: Path, kind: str) -> None:
    plan: Any = SimpleNamespace(env=SimpleNamespace(name="cpu-x"), root=root)
    with pytest.raises(ContractError) as refused:
        read_document(plan, Completed(exit_code=0, stdout=hostile.CONTENTS[kind], start_seconds=0.0))
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_a_number_that_no_figure_can_be_made_of_is_refused(root: Path, number: str) -> None:
    text = json.dumps(documents.document(documents.check("a"))).replace('"seconds": 0.25', f'"seconds": {number}')
    assert number in text
    plan: Any = SimpleNamespace(env=SimpleNamespace(name="cpu-x"), root=root)
    with pytest.raises(ContractError, match="number"):
        read_document(plan, Completed(exit_code=0, stdout=text.encode(), start_seconds=0.0))
