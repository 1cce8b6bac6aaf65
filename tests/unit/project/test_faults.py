"""The judge of the faults (tests/faults) lets nothing pass that is not right."""

from __future__ import annotations

import importlib
import json
import operator
import re
import tempfile
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.faults import stage
from tests.faults.__main__ import MODULES
from tests.faults.judge import SECRET, Fault, judge
from tests.faults.stage import Run
from tests.unit.documents import check, document

RIGHT = "dlmatrix: the disk is full\n  next: make room\n"


class Stage:
    """A stage on which everything has been staged."""

    def __init__(self, report: Path, left: list[str], code: int) -> None:
        self.report, self._left, self._code = report, left, code

    def left(self) -> list[str]:
        return self._left

    def run(self, *arguments: str) -> Run:
        return Run(None, self.report, code=self._code)  # type: ignore[arg-type]


def judged(
    folder: Path,
    *,
    text: str = RIGHT,
    code: int = 9,
    left: tuple[str, ...] = (),
    again: int = 0,
    keeps: tuple[str, ...] = (),
) -> list[str]:
    env = {"name": "cpu-x", "outcome": "passed", "document": document(check("a"))}
    (folder / "result.json").write_text(json.dumps({"envs": [env]}))
    (folder / "reported").mkdir()
    run = Run(None, folder / "reported", text=text, code=code)  # type: ignore[arg-type]
    fault = Fault(title="x", stage=lambda stage: run, engine="venv", codes=(9,), says="is full", keeps=keeps)
    stage: Any = Stage(folder, list(left), again)
    return judge(fault, stage, run)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_where_no_engine_answers_no_stage_is_left(temporary: Path) -> None:
    with pytest.raises(docker.errors.DockerException), stage.stage("docker"):
        pass
    assert list(temporary.iterdir()) == []


def test_where_the_engine_goes_away_no_stage_is_left(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        """An engine that has answered once."""

        closed = False

        def __getattr__(self, name: str) -> Any:
            raise docker.errors.DockerException("went away")

        def close(self) -> None:
            Gone.closed = True

    monkeypatch.setattr(docker, "from_env", Gone)
    monkeypatch.setattr(stage, "_furnish", lambda made: None)
    monkeypatch.setattr(stage.Stage, "run", lambda *words: Run(None, temporary, code=0))  # type: ignore[arg-type]
    with pytest.raises(docker.errors.DockerException, match="went away"), stage.stage("docker"):
        pass
    assert Gone.closed
    assert list(temporary.iterdir()) == []


def test_what_is_right_is_held(tmp_path: Path) -> None:
    assert judged(tmp_path) == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"code": 1}, "exit code 1, and not 9"),
        ({"text": RIGHT + "Traceback (most"}, "a traceback"),
        ({"text": RIGHT.replace("full", "sad")}, "does not say 'is full'"),
        ({"text": "the disk is full"}, "no next step"),
        ({"text": RIGHT + "\x1b[2J"}, "control characters"),
        ({"text": RIGHT + SECRET}, "a password is shown"),
        ({"left": ("container x",)}, "left: container x"),
        ({"again": 1}, "the next run ended with 1"),
        ({"keeps": ("cpu-x",)}, "lost: what came out of cpu-x"),
    ],
)
def test_what_is_wrong_is_not(tmp_path: Path, wrong: dict[str, Any], complaint: str) -> None:
    assert any(found.startswith(complaint) for found in judged(tmp_path, **wrong))


def test_each_function_that_a_run_is_stopped_at_is_there(root: Path) -> None:
    text = "".join(file.read_text() for file in (root / "tests" / "faults").glob("*.py"))
    places = re.findall(r'"(dlmatrix[\w.]*):([\w.]+)"', text)
    assert len(places) > 10
    for module, path in places:
        assert callable(operator.attrgetter(path)(importlib.import_module(module))), f"{module}:{path}"


def test_a_run_that_ends_before_its_moment_is_said_to(tmp_path: Path) -> None:
    stage_of = stage.Stage(tmp_path, "venv")
    stage_of.root.mkdir()
    stage_of.start("list", pause="dlmatrix.report.write:summary")
    with pytest.raises(AssertionError, match="ended before"):
        stage_of.moment()


@pytest.mark.parametrize("engine", ["venv", "docker"])
def test_each_fault_has_a_title_of_its_own(engine: str) -> None:
    titles = [fault.title for module in MODULES for fault in module.faults(engine)]
    assert len(titles) == len(set(titles)) > 20
