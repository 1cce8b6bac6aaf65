"""What came home from a machine: believed only whole, and never put in the place of what is good."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.fleet.home import incoming, settle
from dlmatrix.fleet.row import Row
from tests.unit.documents import check, document, env, result

ROW = Row(name="gpu01", state="running", attempts=1)


def arrive(run: Path, name: str, files: dict[str, str]) -> dict[str, str]:
    folder = incoming(run, name)
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    return {file: hashlib.sha256(text.encode()).hexdigest() for file, text in files.items()}


def report(outcome: str = "passed", **more: Any) -> str:
    made = result(env("cpu-torch-2.13", document=document(check("training"))))
    made["envs"][0] |= {"outcome": outcome, "reason": "said there"} | more
    return json.dumps(made)


@pytest.mark.parametrize(
    ("outcome", "code", "state", "cause"),
    [
        ("passed", 0, "passed", ""),
        ("failed", 1, "failed", ""),
        ("skipped", 77, "skipped", ""),
        ("error", 14, "error", ""),
        ("error", 9, "unfit", "disk-full"),
        ("error", 7, "unfit", "no-index"),
        ("error", 10, "unfit", "busy"),
        ("passed", 9, "error", ""),
    ],
)
def test_the_machine_s_own_result_is_its_state(tmp_path: Path, outcome: str, code: int, state: str, cause: str) -> None:
    files = arrive(tmp_path, "gpu01", {"result.json": report(outcome), "log": "…"})
    found = settle(tmp_path, ROW, {"exit_code": code, "seconds": 2.5, "attempt": 1, "files": files})
    assert (found.state, found.cause, found.seconds) == (state, cause, 2.5)
    assert found.figures
    assert found.figures["envs"][0]["trains"] is True
    assert (tmp_path / "hosts" / "gpu01" / "result.json").is_file()
    assert not incoming(tmp_path, "gpu01").exists()


def test_half_a_result_stays_aside_and_the_old_one_stays(tmp_path: Path) -> None:
    files = arrive(tmp_path, "gpu01", {"result.json": report()})
    settle(tmp_path, ROW, {"exit_code": 0, "files": files})
    files = arrive(tmp_path, "gpu01", {"result.json": report("failed")})
    (incoming(tmp_path, "gpu01") / "result.json").write_text('{"envs"')
    found = settle(tmp_path, ROW, {"exit_code": 1, "files": files})
    assert (found.state, found.cause) == ("not-home", "torn")
    assert "result.json is not what was written there" in found.said
    assert json.loads((tmp_path / "hosts" / "gpu01" / "result.json").read_text())["envs"][0]["outcome"] == "passed"


def test_a_file_that_did_not_arrive_is_named(tmp_path: Path) -> None:
    arrive(tmp_path, "gpu01", {"log": ""})
    found = settle(tmp_path, ROW, {"exit_code": 0, "files": {"result.json": "0" * 64}})
    assert (found.state, found.said) == ("not-home", "result.json did not arrive")


def test_no_name_leads_out_of_what_arrived(tmp_path: Path) -> None:
    arrive(tmp_path, "gpu01", {"log": ""})
    (tmp_path / "secret").write_text("s")
    sums = {"../../secret": hashlib.sha256(b"s").hexdigest()}
    assert settle(tmp_path, ROW, {"exit_code": 0, "files": sums}).state == "not-home"


def test_a_hang_is_one_whatever_it_wrote(tmp_path: Path) -> None:
    arrive(tmp_path, "gpu01", {"result.json": report("error"), "log": "…"})
    assert settle(tmp_path, ROW, {"exit_code": -9, "timed_out": True}).state == "hung"


@pytest.mark.parametrize(
    ("log", "code", "found"),
    [
        ("x\ndlmatrix: there is no room\n  next: y\n", 9, ("unfit", "disk-full", "dlmatrix: there is no room")),
        ("tar: write: No space left on device\n", 1, ("unfit", "disk-full", "tar: write: No space left on device")),
        ("", -9, ("error", "no-result", "killed by signal 9")),
        ("oops\n", 3, ("error", "no-result", "exit code 3: oops")),
    ],
)
def test_without_a_result_the_log_tells(tmp_path: Path, log: str, code: int, found: tuple[str, str, str]) -> None:
    arrive(tmp_path, "gpu01", {"log": log})
    row = settle(tmp_path, ROW, {"exit_code": code})
    assert (row.state, row.cause, row.said) == found


@pytest.mark.parametrize("text", ["{}", "[]", "\x00", '{"schema_version": 1, "envs": 3}', "{" * 100000])
def test_what_is_no_result_is_an_error_with_its_log(tmp_path: Path, text: str) -> None:
    arrive(tmp_path, "gpu01", {"result.json": text, "log": "l"})
    found = settle(tmp_path, ROW, {"exit_code": 0})
    assert (found.state, found.cause) == ("error", "no-result")
    assert (tmp_path / "hosts" / "gpu01" / "log").is_file()
