"""fleet.json: written whole, read back equal, and never with a machine more or less."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.document.result import wrong_in
from dlmatrix.errors import BusyError, ReportError, UsageError
from dlmatrix.fleet import record
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row


def fleet(*rows: Row) -> Fleet:
    begun = record.beginning("R1", "ansible", ["cpu-torch"], {"inventory": "/lab.yml"}, [row.name for row in rows])
    return begun.with_rows({row.name: row for row in rows})


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    ill = Row(name="b", before=("lost",), figures={"gpus": ["H100"]}).at("unreachable", "refused", said="no")
    written = record.write(tmp_path, fleet(Row(name="a"), ill))
    assert record.read(tmp_path) == written
    assert [file.name for file in tmp_path.iterdir()] == ["fleet.json"]


def test_what_is_written_fits_the_schema_as_a_whole_validator_reads_it(tmp_path: Path) -> None:
    found = {"machine": "a", "what": "slower", "certain": True, "sure": 0.99, "distance": None}
    record.write(tmp_path, replace(fleet(Row(name="a", seen=1, seconds=2.5)), findings=(found,)))
    schema = json.loads(Path(record.__file__).with_name("fleet.schema.json").read_text())
    assert wrong_in(json.loads((tmp_path / "fleet.json").read_text()), schema) is None


def test_a_row_of_a_machine_that_nobody_asked_for_is_none() -> None:
    assert fleet(Row(name="a")).with_rows({"b": Row(name="b")}).machines == (Row(name="a"),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machines": [{"name": "a", "state": "sleepy"}]}, "a: sleepy is no state"),
        ({"machines": [{"name": "a", "state": "gone", "cause": "moon"}]}, "no state of this version"),
        ({"machines": [{"name": "a"}]}, "machines/0/state is missing"),
        ({"machines": [{"name": "", "state": "lost"}]}, "machines/0/name/: '' is none"),
        ({"machines": [{"name": "a", "state": "lost", "moon": 1}]}, "machines/0/moon is not known"),
        ({"machines": [{"name": "a", "state": "lost", "attempts": True}]}, "machines/0/attempts/ is no integer"),
        ({"machines": [{"name": "a", "state": "lost", "before": [3]}]}, "machines/0/before/0/ is no string"),
        ({"run": "../../x"}, "run/: '../../x' is none"),
        ({"schema_version": 2}, "schema_version/: '2' is none"),
    ],
)
def test_what_is_none_is_refused_by_its_name(tmp_path: Path, change: dict[str, object], said: str) -> None:
    record.write(tmp_path, fleet(Row(name="a")))
    file = tmp_path / "fleet.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ReportError) as refused:
        record.read(tmp_path)
    assert said in refused.value.message
    assert str(file) in refused.value.message


def test_a_torn_file_is_refused_and_none_is_a_question_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no fleet"):
        record.read(tmp_path)
    (tmp_path / "fleet.json").write_text('{"schema_version": 1')
    with pytest.raises(ReportError, match="is not JSON"):
        record.read(tmp_path)


def test_a_run_that_is_none_is_not_made_by_holding_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nope"):
        with pytest.raises(UsageError, match="holds no fleet"), record.held(folder):
            pass
    assert not list(tmp_path.iterdir())


def test_a_run_is_held_by_one_command(tmp_path: Path) -> None:
    record.write(tmp_path, fleet(Row(name="a")))
    with record.held(tmp_path), pytest.raises(BusyError), record.held(tmp_path):
        pass
    with record.held(tmp_path):
        pass


PASSED = Row(name="p", state="passed")


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([PASSED], 0),
        ([PASSED, Row(name="s", state="skipped")], 77),
        ([PASSED, Row(name="u", state="unreachable", cause="name"), Row(name="l", state="lost")], 19),
        ([PASSED, Row(name="h", state="hung")], 13),
        ([Row(name="h", state="hung"), Row(name="u", state="unreachable")], 1),
        ([Row(name="d", state="unfit", cause="disk-full")], 9),
        ([Row(name="e", state="error", code=14)], 14),
    ],
)
def test_the_code_is_that_of_what_went_wrong_where_all_is_of_one_kind(rows: list[Row], code: int) -> None:
    assert fleet(*rows).exit_code() == code


def test_a_machine_that_falls_out_of_its_siblings_is_a_finding_of_the_whole() -> None:
    slow = replace(fleet(PASSED), findings=({"machine": "p", "what": "slower", "certain": True},))
    assert slow.exit_code() == 17
    unsure = replace(fleet(PASSED), findings=({"machine": "p", "what": "slower", "certain": False},))
    assert unsure.exit_code() == 0
