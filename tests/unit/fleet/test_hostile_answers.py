"""Whatever a machine answers, and whatever stands in fleet.json: one machine's harm is its own, and the run goes on."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import ReportError, UsageError
from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.events import Reading
from dlmatrix.fleet.home import incoming, read_end, settle
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.site import of_json
from tests.unit import documents
from tests.unit.documents import check, document, env, result, throughput
from tests.unit.hostile import CONTENTS, KINDS, each

_REPORT = json.dumps(result(env("cpu-torch-2.13", document=document(check("training")))))
_ENDED = {"exit_code": 0, "timed_out": False, "seconds": 2.5, "attempt": 1, "files": {"log": "0" * 64}}
_HOME = {"log": base64.b64encode(zlib.compress(b"x")).decode()}
_ANSWERS: dict[str, dict[str, Any]] = {
    "ended": {"state": "ended", "attempt": 1, "machine": "abc", "ended": _ENDED, "home": _HOME},
    "running": {"state": "running", "attempt": 1, "machine": "abc", "step": "conv2d"},
    "lost": {"state": "lost", "attempt": 1, "machine": "abc", "rebooted": True},
    "twin": {"state": "twin", "attempt": 1, "machine": "abc", "of": "gpu02"},
}


def kept(run: Path, row: Row) -> list[str]:
    """What of a row is not as it was, once fleet.json was written and read."""
    begun = record.beginning("R1", "ansible", ["cpu-torch"], {}, [row.name]).with_rows({row.name: row})
    written = record.write(run, begun)
    row = record.read(run).machines[0]
    told = (row.words, row.reason, row.next_step("reports/fleet/R1"))
    return [f"{row} is not {written.machines[0]}"] if row != written.machines[0] else [t for t in told if "\x1b" in t]


def answered(run: Path, text: str) -> list[str]:
    """What is wrong with how an answer is taken."""
    reading = Reading(run, {"gpu01": Row(name="gpu01", state="running", attempts=1)})
    event = {"event": "runner_on_ok", "event_data": {"host": "gpu01", "task": "wait", "res": {"stdout": text}}}
    try:
        reading.take(event)
        return kept(run, reading.rows["gpu01"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it would end the run for all machines
        return [f"{error!r:.200}"]


@pytest.mark.parametrize("answer", _ANSWERS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_of_another_kind_costs_one_machine_at_most(tmp_path: Path, answer: str, kind: str) -> None:
    wrong = [(at, said) for at, text in each(_ANSWERS[answer], kind) for said in answered(tmp_path, text)]
    assert wrong == []


@pytest.mark.parametrize("kind", CONTENTS)
def test_an_answer_that_is_none_costs_one_machine_at_most(tmp_path: Path, kind: str) -> None:
    assert answered(tmp_path, CONTENTS[kind].decode("utf-8", "replace")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_that_a_node_wrote_otherwise_is_settled(tmp_path: Path, kind: str) -> None:
    row = Row(name="gpu01", state="running", attempts=1)
    wrong = []
    for at, text in each(_ENDED, kind):
        folder = incoming(tmp_path, row.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(_REPORT)
        try:
            wrong += [(at, said) for said in kept(tmp_path, settle(tmp_path, row, read_end(text)))]
        except Exception as error:  # noqa: BLE001 - as above
            wrong.append((at, f"{error!r:.200}"))
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_that_a_machine_wrote_otherwise_is_judged(tmp_path: Path, kind: str) -> None:
    row = Row(name="gpu01", state="running", attempts=1)
    measured = document(check("training"), throughput=throughput([documents.row("cnn/train/eager/128/fp32/device")]))
    wrong = []
    for at, text in each(result(env("cpu-torch-2.13", document=measured)), kind):
        folder = incoming(tmp_path, row.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(text)
        try:
            wrong += [(at, said) for said in kept(tmp_path, settle(tmp_path, row, _ENDED | {"files": {}}))]
        except Exception as error:  # noqa: BLE001 - as above
            wrong.append((at, f"{error!r:.200}"))
    assert wrong == []


def sample(folder: Path) -> Any:
    """What fleet.json says of a run, with every key that a row has."""
    row = Row(name="gpu01", before=("lost",), figures={"gpus": ["H100"], "envs": []}, attempts=1, seconds=2.5, code=1)
    asked = {"envs": ["gpu-torch"], "inventory": "/lab.yml", "options": ["-v"], "timeout": 60}
    begun = record.beginning("R1", "ansible", ["gpu-torch"], asked, [row.name])
    ill = row.at("unreachable", "refused", said="no")
    record.write(folder, begun.with_rows({row.name: ill}))
    return json.loads((folder / record.FILE).read_text())


def told(folder: Path) -> list[str]:
    """What is wrong with how a fleet.json is read."""
    try:
        fleet = record.read(folder)
        for row in fleet.machines:
            assert isinstance(row.exit_code + fleet.exit_code(), int)
            assert row.words + row.reason + row.next_step("R1")
        of_json(fleet.asked)
    except (ReportError, UsageError) as error:
        named = record.FILE in error.message and error.next_step
        return [] if named and len(str(error)) < 1500 else [f"it does not say where: {error}"[:200]]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
        return [f"{error!r:.200}"]
    return []


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_another_kind_is_refused_by_its_key(tmp_path: Path, kind: str) -> None:
    wrong = []
    for at, text in each(sample(tmp_path), kind):
        (tmp_path / record.FILE).write_text(text)
        wrong += [(at, said) for said in told(tmp_path)]
    assert wrong == []


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_record_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / record.FILE).write_bytes(CONTENTS[kind])
    assert told(tmp_path) == []
