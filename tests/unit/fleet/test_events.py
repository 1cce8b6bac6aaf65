"""From what ansible-runner tells, recorded from Ansible 2.19 on broken machines, to the row of each machine."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import EngineError, UsageError
from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.events import Reading
from dlmatrix.fleet.ansible.lab import end_left
from dlmatrix.fleet.ansible.programs import check_options, machines
from dlmatrix.fleet.drive import carry_on
from dlmatrix.fleet.live import step
from dlmatrix.fleet.row import Row
from tests.unit.documents import check, document, env, result

REPORT = json.dumps(result(env("cpu-torch-2.13", document=document(check("training")))))


def event(kind: str, task: str, host: str = "n1", **res: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": host, "task": task, "res": res}}


def packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


def told(task: str, **found: Any) -> dict[str, Any]:
    return event("runner_on_ok", task, stdout=json.dumps(found))


def read(run: Path, *events: dict[str, Any], row: Row | None = None) -> Row:
    reading = Reading(run, {"n1": row or Row(name="n1")})
    for one in events:
        reading.take(one)
    return reading.rows["n1"]


STARTED = told("start", state="running", attempt=1, machine="abc", step="")
CONNECT = "Task failed: Failed to connect to the host via ssh: "


def test_a_machine_that_goes_well(tmp_path: Path) -> None:
    files = {"result.json": hashlib.sha256(REPORT.encode()).hexdigest()}
    ended = {"attempt": 1, "exit_code": 0, "timed_out": False, "seconds": 3.5, "files": files}
    events = [
        event("runner_on_start", "reach"),
        told("reach", python="3.11", free=1, parts=[]),
        STARTED,
        event("runner_retry", "wait", stdout=json.dumps({"state": "running", "attempt": 1, "step": "conv2d passed"})),
    ]
    assert read(tmp_path, *events).step == "conv2d passed"
    events.append(told("wait", state="ended", attempt=1, ended=ended, home={"result.json": packed(REPORT)}))
    row = read(tmp_path, *events)
    assert (row.state, row.attempts, row.seen, row.seconds, row.machine) == ("passed", 1, 1, 3.5, "abc")
    assert (tmp_path / "hosts" / "n1" / "result.json").is_file()


@pytest.mark.parametrize(
    ("events", "state", "cause"),
    [
        (
            [event("runner_on_unreachable", "reach", msg=CONNECT + "lab@n1: Permission denied (publickey).")],
            "unreachable",
            "login-refused",
        ),
        (
            [event("runner_on_unreachable", "reach", msg=CONNECT + "Connection timed out during banner exchange")],
            "unreachable",
            "no-answer",
        ),
        (
            [STARTED, event("runner_on_unreachable", "wait", msg=CONNECT + "connect to host n1 port 22: No route")],
            "gone",
            "",
        ),
        (
            [STARTED, event("runner_on_failed", "wait", msg="Task failed: Timed out after 30 second(s).")],
            "silent",
            "",
        ),
        (
            [
                event(
                    "runner_on_failed",
                    "reach",
                    msg="non-zero return code",
                    rc=1,
                    stderr="No space left on device: /home/lab",
                    stdout="",
                )
            ],
            "unfit",
            "disk-full",
        ),
        ([event("runner_on_failed", "reach", msg="Task failed: Missing sudo password")], "unfit", "sudo"),
        (
            [
                event(
                    "runner_on_failed",
                    "reach",
                    msg="Error executing command.",
                    rc=2,
                    exception="Traceback\nFileNotFoundError: [Errno 2] No such file or directory: b'python3'",
                )
            ],
            "unfit",
            "no-python",
        ),
        ([event("runner_on_failed", "copy", msg="what nobody has seen before")], "unfit", ""),
        ([told("start", state="lost", attempt=1, rebooted=True)], "lost", ""),
        ([told("start", state="twin", of="n0"), event("runner_on_start", "wait")], "twin", ""),
        ([told("wait", state="ended", attempt=1, ended={"files": {"log": "0"}}, home=3)], "not-home", "torn"),
    ],
)
def test_a_machine_that_does_not(tmp_path: Path, events: list[dict[str, Any]], state: str, cause: str) -> None:
    row = read(tmp_path, *events)
    assert (row.state, row.cause) == (state, cause)


def test_checks_that_were_stopped_wait_to_be_started_again(tmp_path: Path) -> None:
    row = read(
        tmp_path, told("stop", state="ended", attempt=1, ended={"stopped": True}), row=Row(name="n1", attempts=1)
    )
    assert (row.state, row.attempts, row.seen) == ("waiting", 1, 0)


def test_a_disk_that_is_full_here_is_told_from_one_that_is_full_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(Path, "write_bytes", full)
    row = read(tmp_path, told("wait", state="ended", attempt=1, ended={"files": {}}, home={"log": packed("x")}))
    assert (row.state, row.cause, row.seen) == ("not-home", "disk-full-here", 0)


@pytest.mark.parametrize(
    "home", [{"../../x": "eA=="}, {"log": "no base64!"}, {"log": "eHh4eA=="}, {"log": 3}, {"result.json": None}]
)
def test_what_no_supervisor_packed_is_left_out(tmp_path: Path, home: dict[str, Any]) -> None:
    row = read(tmp_path, told("wait", state="ended", attempt=1, ended={"exit_code": 0, "files": {}}, home=home))
    assert (row.state, row.cause) == ("error", "no-result")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == []


def test_what_is_skipped_after_an_answer_changes_nothing(tmp_path: Path) -> None:
    row = read(tmp_path, told("start", state="lost", attempt=1), event("runner_on_start", "wait"))
    assert row.state == "lost"


@pytest.mark.parametrize("stdout", ["", "welcome to gpu07", "[]", "3", '{"state": "moon"}', '{"attempt": "x"}'])
def test_what_no_supervisor_says_is_believed_of_none(tmp_path: Path, stdout: str) -> None:
    row = read(tmp_path, STARTED, event("runner_on_ok", "wait", stdout=stdout))
    assert (row.state, row.attempts) == ("running", 1)


def test_a_machine_that_nobody_asked_for_has_no_row(tmp_path: Path) -> None:
    reading = Reading(tmp_path, {"n1": Row(name="n1")})
    assert reading.take(event("runner_on_unreachable", "reach", host="n9", msg="x")) is None
    assert reading.rows.keys() == {"n1"}


class Carrier:
    """A lab whose looks are given."""

    def __init__(self, *passes: list[dict[str, Row]], fails: bool = False) -> None:
        self.passes, self.fails = list(passes), fails
        self.submitted: list[tuple[list[str], bool]] = []
        self.now: list[dict[str, Row]] = []

    def submit(self, rows: Any, *, again: bool) -> None:
        self.submitted.append(([row.name for row in rows], again))
        self.now = self.passes.pop(0)

    def look(self) -> dict[str, Row]:
        changed = self.now.pop(0)
        if not self.now and self.fails:
            raise EngineError("ansible-playbook itself failed")
        return changed

    def over(self) -> bool:
        return not self.now

    def stop(self, rows: Any) -> dict[str, Row]:
        return {}

    def leave(self) -> None:
        self.now = []


def begun(folder: Path, *rows: Row) -> record.Fleet:
    fleet = record.beginning("R", "ansible", ["cpu-torch"], {}, [row.name for row in rows])
    return record.write(folder, fleet.with_rows({row.name: row for row in rows}))


OFF = Row(name="off").at("unreachable", "no-answer")
KEY = Row(name="key").at("unreachable", "login-refused")
PASSED = Row(name="ok", state="passed")


def test_what_may_be_back_is_tried_once_more_and_what_is_final_is_left(tmp_path: Path) -> None:
    carrier = Carrier([{"key": KEY}, {"off": OFF}], [{"off": OFF}])
    fleet = begun(tmp_path, PASSED, Row(name="off"), Row(name="key"))
    fleet = carry_on(tmp_path, fleet, carrier, lambda *_: None)
    assert carrier.submitted == [(["off", "key"], True), (["off"], False)]
    assert [row.state for row in fleet.machines] == ["passed", "unreachable", "unreachable"]
    assert record.read(tmp_path) == fleet
    assert fleet.ended


def test_what_is_tried_once_more_is_shown_as_waited_for_and_kept_as_it_stands(tmp_path: Path) -> None:
    """The table said "waiting for 0 of 3 machines" until the second try had begun on a machine."""
    moving = Row(name="off", step="reach")
    carrier = Carrier([{"off": OFF}], [{}, {"off": moving}, {"off": OFF}])
    shown: list[tuple[str, str]] = []
    kept: list[str] = []

    def show(fleet: record.Fleet, changed: object) -> None:
        shown.append((fleet.machines[1].state, step(fleet.machines[1])))
        kept.append(record.read(tmp_path).machines[1].state)

    carry_on(tmp_path, begun(tmp_path, PASSED, Row(name="off")), carrier, show)
    assert shown[1:3] == [("waiting", "being tried once more"), ("waiting", "being reached")]
    assert [state for state, _ in shown] == ["unreachable", "waiting", "waiting", "unreachable"]
    assert kept[:2] == ["unreachable", "unreachable"], "what a killed command learned"


def test_going_on_keeps_how_a_machine_stood(tmp_path: Path) -> None:
    row = Row(name="off", attempts=1, seen=1).at("unfit", "disk-full")
    carrier = Carrier([{"off": Row(name="off", state="passed", before=("unfit: its disk is full",))}])
    seen: list[Row] = []
    carrier.submit = lambda rows, again: (seen.extend(rows), setattr(carrier, "now", carrier.passes.pop(0)))  # type: ignore[method-assign,assignment]
    fleet = carry_on(tmp_path, begun(tmp_path, row), carrier, lambda *_: None)
    assert (seen[0].before, seen[0].attempts, seen[0].seen) == (("unfit: its disk is full",), 1, 1)
    assert fleet.exit_code() == 0


def test_a_failing_ansible_changes_no_state_but_those_that_have_an_answer(tmp_path: Path) -> None:
    lost = Row(name="lost", state="lost", attempts=1)
    carrier = Carrier([{"off": OFF}, {}], fails=True)
    with pytest.raises(EngineError):
        carry_on(tmp_path, begun(tmp_path, PASSED, Row(name="off"), lost), carrier, lambda *_: None)
    assert [row.state for row in record.read(tmp_path).machines] == ["passed", "unreachable", "lost"]


def test_ctrl_c_keeps_each_answer_there_was(tmp_path: Path) -> None:
    carrier = Carrier([{"off": OFF}, {}, {}])

    def show(fleet: record.Fleet, changed: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_on(tmp_path, begun(tmp_path, Row(name="off"), Row(name="b")), carrier, show)
    fleet = record.read(tmp_path)
    assert [row.state for row in fleet.machines] == ["unreachable", "waiting"]
    assert not fleet.ended
    assert carrier.over()


def test_what_an_interrupted_playbook_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    with (
        subprocess.Popen([*command, f"@{tmp_path / 'run-one-x1' / 'limit'}"], start_new_session=True) as worker,
        subprocess.Popen([*command, f"@{tmp_path / 'run-two-x1' / 'limit'}"], start_new_session=True) as other,
    ):
        (tmp_path / "run-one-x1").mkdir()
        end_left(tmp_path / "run-one-")
        assert not (tmp_path / "run-one-x1").exists()
        assert worker.wait(60) == -9
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("option", ["-K", "--ask-pass", "--ask-vault-pass", "-i", "--limit=x"])
def test_what_would_ask_or_is_ours_is_not_handed_through(option: str) -> None:
    with pytest.raises(UsageError):
        check_options(["--become", option])
    check_options(["--become", "--vault-password-file", "f"])


def test_an_inventory_that_is_not_there_is_told_before_ansible_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no inventory"):
        machines(tmp_path / "none.yml", "", ())
