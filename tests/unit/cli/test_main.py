"""The command line: every bad input ends in one message and its own exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.cli.machine import gpus_not_here
from dlmatrix.errors import ConfigError
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.plan import ALL
from dlmatrix.system.checkout import find_root
from dlmatrix.system.state import exclusive
from tests.signals import heard

Cli = Callable[..., tuple[int, str, str]]
Script = Callable[..., Path]

LOCK = "envs/locks/cpu-torch-2.13.txt"


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "says", "next_step"),
    [
        ([], 2, "the following arguments are required: COMMAND", "dlmatrix --help"),
        (["rum"], 2, "invalid choice: 'rum'", "did you mean run? "),
        (["zzz"], 2, "invalid choice: 'zzz'", "dlmatrix --help"),
        (["run", "cpu-torch", "--engine", "dokcer"], 2, "invalid choice: 'dokcer'", "did you mean docker? "),
        (
            ["plan", "cpu-torch", "--gpus", "0"],
            2,
            "--gpus names GPUs, and none of the envs is for one",
            "name a gpu env",
        ),
        (["run"], 2, "the following arguments are required: ENV", "dlmatrix run --help"),
        (["run", "cpu-torch", "--enigne", "host"], 2, "unrecognized arguments: --enigne", "--help"),
        (["run", "cpu-torch", "--timeout", "soon"], 2, "--timeout: invalid int value: 'soon'", "run --help"),
        (["run", "cpu-torch", "--timeout", "0"], 2, "--timeout must be a number of seconds from 1", "leave it out"),
        (["run", "cpu-torch", "--timeout", "9" * 30], 2, "--timeout must be a number of seconds", "leave it out"),
        (["run", "cpu-torch", "--throughput", "1e300"], 2, "--throughput must be a number", "leave it out"),
        (["run", "cpu-torch", "--throughput", "-1"], 2, "--throughput must be a number of seconds", "leave it out"),
        (["run", "cpu-torch", "--throughput", "nan"], 2, "--throughput must be a number of seconds", "leave it out"),
        (["run", "cpu-torch", "--quick", "--throughput", "9"], 2, "not allowed with argument", "run --help"),
        (["run", "cpu-torch", "--engine", "podman"], 2, "--engine: invalid choice: 'podman'", "run --help"),
        (["run", "cpu-torhc"], 2, "there is no env named cpu-torhc", "did you mean cpu-torch?"),
        (["plan", "cpu-torch-2.133"], 2, "there is no env named cpu-torch-2.133", "did you mean cpu-torch-2.13?"),
        (["run", "cpu-torch", "--engine", "host"], 2, "--engine host needs an interpreter", "--python /path"),
        (["run", "cpu-torch", "--engine", "host", "--python", "none"], 2, "none is not an executable", "--python"),
        (["run", "cpu-torch", "--engine", "docker"], 4, "no Docker engine answers on unix://", "--engine venv"),
        (["run", "cpu-torch", "--report", "envs"], 2, "envs exists and is not empty", "name a new folder"),
        (["cache", "--keep", "much"], 2, "--keep: 'much' is no number of gigabytes", "cache --help"),
        (["bases", "3.99"], 2, "there is no base for Python 3.99", "known: 3.7"),
    ],
)
def test_a_bad_command_line(
    checkout: Path, cli: Cli, *, arguments: list[str], code: int, says: str, next_step: str
) -> None:
    found, out, err = cli(*arguments)
    assert (found, out) == (code, "")
    message, _, last = err.rstrip("\n").partition("\n  next: ")
    assert message.startswith("dlmatrix: ")
    assert says in message
    assert next_step in last
    assert err.count("\n") == 2
    assert not (checkout / "reports").exists()
    assert not (checkout / ".dlmatrix").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("envs/torch-2.13.toml", "size-budget-mb", "size-budgte-mb", "cpu.size-budget-mb: is missing"),
        ("envs/bases.toml", "@sha256:", ":latest#", "is not pinned by digest"),
        (LOCK, "filelock==", "filelock>=", ":3: not an exact pin: filelock>="),
        # A line number between colons must not come out as the sign that rich takes it for.
        (LOCK, "\n", "\n" * 98 + "x\n", ":99: not an exact pin: x"),
    ],
)
def test_a_broken_file_is_named_with_its_place(
    checkout: Path, cli: Cli, *, file: str, old: str, new: str, says: str
) -> None:
    replace_in(checkout / file, old, new)
    code, _, err = cli("plan", "cpu-torch-2.13")
    assert code == 3
    assert err.startswith(f"dlmatrix: {checkout / file}:")
    assert says in err
    assert err.count("\n") == 2


def test_half_a_file_stops_only_its_own_env(checkout: Path, cli: Cli, script: Script) -> None:
    file = checkout / "envs" / "torch-2.11.toml"
    file.write_text(file.read_text(encoding="utf-8")[:300], encoding="utf-8")
    wrong = f"{file}: not valid TOML"
    code, out, _ = cli("run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0")), "--report", "r")
    assert code == 11  # what the script ended with, and not 3
    assert f"{wrong}" in out
    assert "its envs are left out" in out
    assert cli("plan", "cpu-tf2-2.21")[0] == 0
    for named in ("cpu-torch-2.11", "cpu-torch"):
        code, _, err = cli("plan", named)
        assert (code, wrong in err) == (3, True)
    code, out, err = cli("list")
    assert (code, "cpu-torch-2.13" in out, wrong in err) == (3, True, True)
    assert cli("list", "--json")[0] == 3


def test_a_lock_that_is_not_of_its_file_is_said_by_every_verb_that_looks_at_it(
    checkout: Path, cli: Cli, script: Script
) -> None:
    replace_in(checkout / "envs" / "torch-2.13.toml", '"numpy"', '"numpy", "matplotlib==3.9.0"')
    python = script(f"touch {checkout}/ran")
    run = ["run", "cpu-torch-2.13", "--engine", "host", "--python", str(python), "--report", "r"]
    for command in (["list"], ["list", "--json"], ["list", "--markdown"], ["plan", "cpu-torch-2.13"], run):
        code, out, err = cli(*command)
        assert code == 3, command
        said = " ".join(f"{out} {err}".replace("\u2502", " ").split())
        assert "does not satisfy torch-2.13.toml: 'matplotlib==3.9.0': it holds no matplotlib" in said, command
        assert "nox -s lock -- cpu-torch-2.13 --write" in said, command
    assert not (checkout / "ran").exists()
    code, out, _ = cli("list")
    assert "cpu-tf2-2.21" in out


def test_line_100_stays_a_number(checkout: Path, cli: Cli) -> None:
    lock = checkout / LOCK
    lock.write_text("#\n" * 99 + "x\n")
    assert f"{lock}:100: not an exact pin" in cli("plan", "cpu-torch-2.13")[2]


def test_a_broken_pip_configuration_is_named(
    checkout: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text("no section")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    code, _, err = cli("run", "cpu-torch", "--engine", "venv")
    assert code == 3
    assert err.startswith(f"dlmatrix: {tmp_path}/pip.conf: ")


@pytest.mark.parametrize("broken", ["a lock that is gone", "another run"])
def test_an_error_of_an_env_is_in_the_table_and_in_the_report(
    checkout: Path, cli: Cli, script: Script, broken: str
) -> None:
    arguments = ["run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0")), "--report", "r"]
    if broken == "a lock that is gone":
        (checkout / LOCK).unlink()
        code, out, err = cli(*arguments)
        assert (code, "there is no lock" in out) == (3, True)
    else:
        with exclusive(checkout, "cpu-torch-2.13"):
            code, out, err = cli(*arguments)
        assert (code, "another run of it is under way" in out) == (10, True)
    assert err == ""
    assert "cpu-torch-2.13: next: " in out
    (env,) = json.loads((checkout / "r" / "result.json").read_text())["envs"]
    assert (env["outcome"], env["exit_code"]) == ("error", code)


def test_a_working_folder_that_cannot_be_made_is_named_before_anything_runs(
    checkout: Path, cli: Cli, script: Script
) -> None:
    (checkout / ".dlmatrix").touch()
    python = script(f"touch {checkout}/ran")
    code, _, err = cli("run", "cpu-torch", "--engine", "host", "--python", str(python), "--report", "r")
    assert (code, (checkout / "ran").exists(), (checkout / "r").exists()) == (1, False, False)
    assert f"{checkout}/.dlmatrix: File exists\n  next: " in err


def test_a_report_folder_in_use_is_refused_before_anything_runs(checkout: Path, cli: Cli, script: Script) -> None:
    (checkout / "r").mkdir()
    (checkout / "r" / "mine").touch()
    python = script(f"touch {checkout}/ran")
    code, _, err = cli("run", "cpu-torch", "--engine", "host", "--python", str(python), "--report", "r")
    assert (code, (checkout / "ran").exists()) == (2, False)
    assert "r exists and is not empty" in err


def test_a_skipped_env_is_77_and_shown_with_its_reason(checkout: Path, cli: Cli, script: Script) -> None:
    python = script(f"touch {checkout}/ran")
    code, out, _ = cli("run", "gpu-tf1-1.15", "--engine", "host", "--python", str(python), "--report", "r")
    assert (code, (checkout / "ran").exists()) == (77, False)
    assert "needs CUDA 10.0" in out
    assert "skipped" in out


def test_run_json_writes_the_result_to_stdout_and_everything_else_to_stderr(
    checkout: Path, cli: Cli, script: Script
) -> None:
    python = script("exit 0")
    arguments = ["run", "cpu-torch-2.13", "gpu-tf1-1.15", "--engine", "host", "--python", str(python), "--report", "r"]
    code, out, err = cli(*arguments, "--json")
    assert code == 11
    assert out == (checkout / "r" / "result.json").read_text(encoding="utf-8")
    assert [env["outcome"] for env in json.loads(out)["envs"]] == ["error", "skipped"]
    assert "engine: host" in err
    assert "report: r" in err


def test_a_run_is_kept_in_the_history_and_drawn_by_the_next(checkout: Path, cli: Cli, script: Script) -> None:
    arguments = ["run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0"))]
    cli(*arguments, "--report", "a")
    (kept,) = (checkout / "reports" / "history").iterdir()
    assert [entry["outcome"] for entry in json.loads(kept.read_text())["envs"]] == ["error"]
    kept.with_name("0-broken.json").write_text("{")
    cli(*arguments, "--report", "b")
    assert "0-broken.json" in (checkout / "b" / "report.html").read_text(encoding="utf-8")


def test_a_history_that_cannot_be_kept_does_not_fail_the_run(checkout: Path, cli: Cli, script: Script) -> None:
    (checkout / "reports").touch()
    arguments = ["run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0")), "--report", "r"]
    code, out, err = cli(*arguments)
    assert (code, err) == (11, "")
    assert "history: not kept: " in out
    assert (checkout / "r" / "report.html").exists()


def test_list_json_has_every_cell(matrix: Matrix, cli: Cli) -> None:
    code, out, err = cli("list", "--json")
    cells = json.loads(out)
    assert (code, err) == (0, "")
    assert [cell["name"] for cell in cells] == [env.name for env in matrix.envs]
    for cell, env in zip(cells, matrix.envs, strict=True):
        assert cell == {
            "name": env.name,
            "session": f"{env.variant}-{env.series}({env.short})",
            "series": env.series,
            "variant": env.variant,
            "version": env.version,
            "python": env.python,
            "status": env.status.value,
            "reason": env.reason,
        }


def test_the_lists_for_people_show_text_as_it_is(checkout: Path, cli: Cli) -> None:
    replace_in(checkout / "envs" / "tf1-1.15.toml", 'reason = "', 'reason = "[x] a[/]b :100: ')
    code, out, _ = cli("list")
    assert code == 0
    assert "impossible: [x] a[/]b :100:" in out
    for env in load_matrix(checkout).envs:
        assert f"│ {env.name} " in out
    assert "[x] a[/]b :100:" in cli("list", "--markdown")[1]
    replace_in(checkout / "envs" / "tf1-1.15.toml", "[x] a[/]b", "<script>alert(1)</script>")
    shown = cli("list", "--markdown")[1]
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script" not in shown


def test_plan_shows_every_step_and_touches_nothing(checkout: Path, cli: Cli) -> None:
    before = sorted(checkout.rglob("*"))
    code, out, err = cli("plan", "cpu-torch", "gpu-tf1")
    assert (code, err) == (77, "")
    assert "docker buildx build --builder default" in out
    assert "docker run --rm --user 65532:65532 --network none --read-only" in out
    assert "gpu-tf1-1.15: skipped: needs CUDA 10.0" in out
    assert sorted(checkout.rglob("*")) == before


def test_an_env_that_is_skipped_is_77_of_every_verb(checkout: Path, cli: Cli) -> None:
    assert cli("plan", "gpu-tf1-1.15")[0] == 77
    assert cli("plan", "cpu-torch-2.13")[0] == 0
    for verb, options in (("closure", ["--engine", "venv"]), ("lock", []), ("audit", [])):
        code, out, _ = cli(verb, "gpu-tf1-1.15", *options)
        assert (code, "needs CUDA 10.0" in out) == (77, True), verb


def test_a_checkout_that_lacks_a_file_is_a_checkout_all_the_same(checkout: Path, cli: Cli) -> None:
    (checkout / "envs" / "bases.toml").unlink()
    code, _, err = cli("list")
    assert code == 3
    assert err.startswith(f"dlmatrix: {checkout}/envs/bases.toml: no such file\n")
    assert "checkout -- envs/bases.toml" in err


def test_what_restores_a_file_can_be_pasted_though_its_folder_has_a_blank(checkout: Path) -> None:
    (checkout / "envs" / "bases.toml").unlink()
    checkout.rename(checkout.with_name("check out"))
    with pytest.raises(ConfigError) as error:
        find_root(checkout.with_name("check out"))
    assert f"git -C '{checkout.with_name('check out')}' checkout -- envs/bases.toml" in error.value.next_step


def test_gpus_that_the_machine_has_not_are_said_by_the_doctor() -> None:
    devices = {"nvml": {"devices": [{"index": 0, "uuid": "GPU-a"}, {"index": 1, "uuid": "GPU-b"}]}}
    assert gpus_not_here(devices, ("7", "0")) == "--gpus 7: not on this machine, which has 0, 1"
    assert gpus_not_here(None, ("7",)) == "--gpus 7: NVML tells of no GPU here"
    assert gpus_not_here(devices, ("1",)) == gpus_not_here(None, ALL) == ""


def test_plan_with_the_debian_base(checkout: Path, cli: Cli) -> None:
    assert "1. base: dlmatrix-base:3.11-bookworm" in cli("plan", "cpu-torch", "--bases", "debian")[1]


# From here on in a process of its own: signals, pipes, and what Python itself says at the end.


def command(root: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, "-m", "dlmatrix", *arguments], os.environ | {"PYTHONPATH": str(root)}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_nothing_left_behind(
    root: Path, checkout: Path, script: Script, number: signal.Signals
) -> None:
    ready, never = checkout / "ready", checkout / "never"
    os.mkfifo(ready)
    os.mkfifo(never)
    python = script(f"echo $$ >{ready}; exec cat {never}")
    words, environ = command(root, "run", "cpu-torch", "--engine", "host", "--python", str(python))
    with subprocess.Popen(
        words,
        env=environ,
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heard,  # noqa: PLW1509
    ) as running:
        started = os.pidfd_open(int(ready.read_text()))  # waits until the script is there
        running.send_signal(number)
        out, err = running.communicate()
        assert select.select([started], [], [], 30)[0], "the interpreter is still running"
        os.close(started)
    assert running.returncode == 130
    assert err == "dlmatrix: interrupted; nothing was left behind\n"
    assert "Traceback" not in out
    assert not (checkout / "reports").exists()
    assert [file.name for file in (checkout / ".dlmatrix").iterdir()] == ["busy"]


@pytest.mark.timeout(60)
def test_an_interrupt_while_it_still_loads_is_one_like_any_other(root: Path, checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise KeyboardInterrupt")
    words, environ = command(root, "list")
    environ["PYTHONPATH"] = f"{tmp_path}:{root}"
    done = subprocess.run(words, env=environ, cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "dlmatrix: interrupted; nothing was left behind\n"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("form", [["list", "--json"], ["list"]])
def test_a_reader_that_goes_away_is_told_nothing(root: Path, checkout: Path, form: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    words, environ = command(root, *form)
    done = subprocess.run(words, env=environ, cwd=checkout, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_folder_that_was_removed_under_it_is_named(root: Path, checkout: Path, tmp_path: Path) -> None:
    words, environ = command(root, "list")
    (gone := tmp_path / "gone").mkdir()
    program = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    done = subprocess.run(["sh", "-c", program, "sh", gone, *words], env=environ, capture_output=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == b"dlmatrix: the current folder was removed\n  next: cd to one that is there, then run it again\n"
    )


@pytest.mark.parametrize(
    ("closed", "code", "said"), [("1", 0, b""), ("1", 2, b"dlmatrix: "), ("2", 0, b""), ("2", 2, b"")]
)
def test_an_output_that_is_closed_is_told_nothing(
    root: Path, checkout: Path, closed: str, code: int, said: bytes
) -> None:
    words, environ = command(root, *(["list"] if code == 0 else ["run", "nope"]))
    program = f'exec "$@" {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", program, "sh", *words], env=environ, cwd=checkout, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr[: len(said)]) == (code, said)
    assert b"Traceback" not in done.stderr
    if code == 0 and closed == "2":
        assert b"cpu-torch-2.13" in done.stdout


@pytest.mark.timeout(60)
def test_a_terminal_that_knows_only_ascii_gets_the_table_all_the_same(root: Path, checkout: Path) -> None:
    words, environ = command(root, "list")
    environ |= {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(words, env=environ, cwd=checkout, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"cpu-torch-2.13" in done.stdout
