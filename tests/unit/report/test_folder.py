"""The folder of a report: refused before anything runs, or there, with all that came out of the run until now."""

from __future__ import annotations

import datetime
import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.document.check import Outcome
from dlmatrix.document.result import read_result
from dlmatrix.errors import DiskFullError, DlmatrixError, UsageError
from dlmatrix.matrix.load import select
from dlmatrix.matrix.model import Matrix
from dlmatrix.report import write as report
from dlmatrix.report.folder import KeptReport, report_folder
from dlmatrix.report.history import History
from dlmatrix.run.result import EnvResult, unfinished
from dlmatrix.system.files import sweep

NOW = datetime.datetime(2026, 11, 24, 8, 0, 0, tzinfo=datetime.timezone.utc)


def text(results: Sequence[EnvResult]) -> str:
    return report.dumps(report.as_json(results, {"engine": "host"}, NOW, {}))


@pytest.fixture
def begun(matrix: Matrix) -> list[EnvResult]:
    return [unfinished(env) for env in select(matrix, ["cpu-torch-2.13", "cpu-tf2-2.21"])]


@pytest.fixture
def ended(begun: list[EnvResult]) -> list[EnvResult]:
    return [replace(begun[0], outcome=Outcome.PASSED, exit_code=0, reason="1 passed", next_step=""), begun[1]]


@pytest.mark.parametrize("kind", ["none", "none/below", "empty", "link", "."])
def test_a_folder_of_every_kind_takes_a_report(
    begun: list[EnvResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A folder that cannot be moved away, such as this one or a mount point, is filled where it is."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path / ("empty" if kind == "." else ""))
    folder = report_folder(tmp_path, Path(kind), NOW)
    with KeptReport(folder, text) as kept:
        kept.make(begun)
        assert [env["outcome"] for env in read_result(folder).data["envs"]] == ["error", "error"]
        report.write_report(tmp_path, folder, begun, report.as_json(begun, {"engine": "host"}, NOW, {}), History())
    assert sorted(file.name for file in folder.iterdir()) == ["junit.xml", "report.html", "result.json", "summary.md"]


@pytest.mark.parametrize(
    "name", ["full", "file", "file/below", "file/below/deep", "nowhere", "x" * 300, "x" * 300 + "/y"]
)
def test_what_cannot_be_a_new_folder_is_refused_beforehand(tmp_path: Path, name: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(UsageError, match="--report"):
        report_folder(tmp_path, tmp_path / name, NOW)


def test_without_a_name_the_folder_is_a_new_one_of_this_time(tmp_path: Path) -> None:
    folder = report_folder(tmp_path, None, NOW)
    assert folder.parent == tmp_path / "reports"
    assert folder.name.startswith("20261124-080000-")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EROFS, UsageError)]
)
def test_a_folder_that_cannot_be_written_is_told_at_once_and_taken_away(
    begun: list[EnvResult], tmp_path: Path, number: int, kind: type[DlmatrixError]
) -> None:
    def full(results: Sequence[EnvResult]) -> str:
        raise OSError(number, os.strerror(number))

    with (
        pytest.raises(kind, match="the report cannot be written there") as raised,
        KeptReport(tmp_path / "a/b", full) as kept,
    ):
        kept.make(begun)
    assert "--report" in raised.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_run_took_meanwhile_is_left_as_it_is(begun: list[EnvResult], tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("theirs")
    with pytest.raises(UsageError, match="File exists"), KeptReport(tmp_path, text) as kept:
        kept.make(begun)
    assert (tmp_path / "result.json").read_text() == "theirs"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UsageError("x")])
def test_a_run_out_of_which_nothing_came_leaves_nothing(
    begun: list[EnvResult], tmp_path: Path, error: BaseException
) -> None:
    def run() -> None:
        with KeptReport(tmp_path / "a" / "b", text) as kept:
            kept.make(begun)
            kept.keep(begun)
            raise error

    with pytest.raises(type(error)) as raised:
        run()
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_what_came_out_stays_whatever_ends_the_run(
    begun: list[EnvResult], ended: list[EnvResult], tmp_path: Path
) -> None:
    def run() -> None:
        with KeptReport(tmp_path / "r", text) as kept:
            kept.make(begun)
            kept.keep(ended)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=f"is in {tmp_path}/r"):
        run()
    assert [env["outcome"] for env in read_result(tmp_path / "r").data["envs"]] == ["passed", "error"]


def test_what_has_no_room_in_between_does_not_stop_the_run(
    begun: list[EnvResult], ended: list[EnvResult], tmp_path: Path
) -> None:
    def sometimes(results: Sequence[EnvResult]) -> str:
        if results is ended:
            raise OSError(errno.ENOSPC, "full")
        return text(results)

    with KeptReport(tmp_path / "r", sometimes) as kept:
        kept.make(begun)
        kept.keep(ended)
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["result.json"]


def test_what_a_killed_run_left_half_written_is_swept_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "20261124-080000-1"
    folder.mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".result.json.{gone.pid}-7", f".result.json.{os.getpid()}-7", "result.json", ".mine"):
        (folder / name).touch()
    sweep(tmp_path)
    assert {file.name for file in folder.iterdir()} == {f".result.json.{os.getpid()}-7", "result.json", ".mine"}
