"""What came out of a run is kept, whatever ends it and whatever happens to its files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.document.result import read_result
from dlmatrix.report import write as report
from tests.signals import heard
from tests.unit.cli.test_main import command
from tests.unit.run.test_run import check, document

Cli = Callable[..., tuple[int, str, str]]
Script = Callable[..., Path]

#: Both are checked, then measured one after the other; the second's measuring never ends.
TWO = ["run", "cpu-torch-2.13", "cpu-tf2-2.21", "--engine", "host", "--report", "r"]


@pytest.fixture
def python(checkout: Path, script: Script) -> Path:
    """An interpreter that passes, and waits in the second env's measuring, where it writes its process down."""
    later = check("skipped", "throughput", "throughput") | {"data": {"later": True}}
    (checkout / "checked").write_text(json.dumps(document(check("passed"), later)))
    (checkout / "measured").write_text(json.dumps(document(check("passed", "throughput", "throughput"))))
    os.mkfifo(checkout / "ready")
    os.mkfifo(checkout / "never")
    return script(
        rf"""cd {checkout}
        case "$*" in
        *\ tf*--only*) echo $$ >ready; exec cat never ;;
        *--only*) cat measured ;;
        *) cat checked ;;
        esac"""
    )


def stopped(root: Path, checkout: Path, python: Path, number: signal.Signals) -> tuple[int, str, str]:
    """Run both envs, and stop the run by a signal while the second is measured."""
    words, environ = command(root, *TWO, "--python", str(python))
    with subprocess.Popen(
        words,
        env=environ,
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,  # noqa: PLW1509
    ) as running:
        measuring = int((checkout / "ready").read_text())  # waits until it is there
        running.send_signal(number)
        out, err = running.communicate()
    if number == signal.SIGKILL:
        os.kill(measuring, signal.SIGKILL)
    return running.returncode, out, err


def kept(checkout: Path) -> list[tuple[Any, ...]]:
    """How the report says that each env went, and what is known of its checks."""
    envs = read_result(checkout / "r").data["envs"]
    return [(env["outcome"], env["exit_code"], env["document"]["checks"][0]["outcome"]) for env in envs]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_second_env_keeps_the_first_and_writes_the_report(
    root: Path, checkout: Path, python: Path, number: signal.Signals
) -> None:
    code, out, err = stopped(root, checkout, python, number)
    assert (code, err) == (130, "dlmatrix: interrupted; what came out of the run until then is in r\n")
    assert "\u2502 cpu-torch-2.13 \u2502 passed" in out
    assert "\u2502 cpu-tf2-2.21   \u2502 error" in out
    assert "\nreport: r\n" in out
    assert kept(checkout) == [("passed", 0, "passed"), ("error", 130, "passed")]
    assert "interrupted before its end" in (checkout / "r" / "summary.md").read_text()
    assert {"junit.xml", "report.html"} < {file.name for file in (checkout / "r").iterdir()}
    (past,) = (checkout / "reports" / "history").iterdir()  # no time of what was cut short
    assert [entry["env"] for entry in json.loads(past.read_text())["envs"]] == ["cpu-torch-2.13"]


@pytest.mark.timeout(60)
def test_a_kill_in_the_second_env_keeps_the_first(root: Path, checkout: Path, python: Path, cli: Cli) -> None:
    assert stopped(root, checkout, python, signal.SIGKILL)[0] == -signal.SIGKILL
    assert [file.name for file in (checkout / "r").iterdir()] == ["result.json"]
    assert kept(checkout) == [("passed", 0, "passed"), ("error", 130, "passed")]
    assert cli("page", "r")[0] == 0
    assert cli("page", "r/result.json")[:2] == (0, "page: r/report.html\n")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_table_is_shown_whatever_happens_to_the_files(
    checkout: Path, cli: Cli, script: Script, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def full(*arguments: object) -> str:
        raise error

    monkeypatch.setattr(report, "summary", full)
    code, out, err = cli(
        "run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0")), "--report", "r"
    )
    assert code == (9 if isinstance(error, OSError) else 130)
    assert "\u2502 cpu-torch-2.13 \u2502 error" in out
    assert "report: r" not in out
    assert "r: the report could not be written whole: No space" in err or "until then is in r" in err
    assert (checkout / "r" / "result.json").exists()


@pytest.mark.parametrize("name", ["x" * 300, "link"])
def test_a_report_that_cannot_be_there_is_refused_before_anything_runs(
    checkout: Path, cli: Cli, script: Script, name: str
) -> None:
    (checkout / "link").symlink_to("envs")
    python = script(f"touch {checkout}/ran")
    code, out, err = cli("run", "cpu-torch", "--engine", "host", "--python", str(python), "--report", name)
    assert (code, out, (checkout / "ran").exists()) == (2, "", False)
    assert "\n  next: name a new folder" in err


def test_a_link_to_an_empty_folder_takes_the_report(checkout: Path, cli: Cli, script: Script) -> None:
    (checkout / "empty").mkdir()
    (checkout / "link").symlink_to("empty")
    arguments = ["run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0"))]
    code, out, _ = cli(*arguments, "--report", "link")
    assert (code, "report: link" in out) == (11, True)
    assert (checkout / "empty" / "report.html").exists()
    assert (checkout / "link").is_symlink()


@pytest.mark.timeout(120)
def test_an_output_that_has_no_room_ends_no_run(root: Path, checkout: Path, script: Script) -> None:
    (checkout / "checked").write_text(json.dumps(document(check("passed"))))
    words, environ = command(root, *TWO, "--python", str(script(f"cat {checkout}/checked")))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words, env=environ, cwd=checkout, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
        assert done.stderr == (
            "dlmatrix: the output could not be written: No space left on device\n"
            "  next: make room; the run's results are in r\n"
        )
        assert done.returncode == 9
        assert [env["outcome"] for env in read_result(checkout / "r").data["envs"]] == ["passed", "passed"]
        again = subprocess.run(words, env=environ, cwd=checkout, stdout=full, stderr=full, check=False)
        assert again.returncode == 2  # the report is there: nothing can be said, and the code is right
