"""The way of an env, from its plan to a result. The "interpreters" are scripts that really run."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.document.check import Outcome
from dlmatrix.engines import host
from dlmatrix.engines.host import HostEngine
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import (
    ConfigError,
    ContractError,
    DiskFullError,
    DlmatrixError,
    HangError,
    KilledError,
    NetworkError,
    UsageError,
)
from dlmatrix.matrix.load import select
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.course import run_all
from dlmatrix.run.result import EnvResult
from dlmatrix.system.process import Say
from dlmatrix.system.state import exclusive
from tests.unit.documents import document
from tests.unit.run.checks import OUTSIDE, check

Script = Callable[..., Path]


def run(plan: Plan, python: Path) -> tuple[EnvResult, list[tuple[str, str]]]:
    """Run the plan's env with this interpreter; the result, and what was told on the way."""
    told: list[tuple[str, str]] = []
    (result,) = run_all(
        HostEngine(python), [lambda: plan], [plan.env], OUTSIDE, lambda env, step, text: told.append((step, text))
    )
    return result, told


@pytest.mark.parametrize(
    ("pin", "next_step"),
    [("torch==2.13.0+cpu", "its wheel is on PyTorch's own index"), ("torch==2.13.0", "check the network")],
)
def test_an_index_that_was_not_reached(plan: Plan, pin: str, next_step: str) -> None:
    class Unreached(HostEngine):
        def prepare(self, plan: Plan, say: Say) -> Prepared:
            raise NetworkError("the package index cannot be reached", "check the network")

    plan = replace(plan, env=replace(plan.env, requirements=(pin, "numpy")))
    (result,) = run_all(Unreached(Path(sys.executable)), [lambda: plan], [plan.env], OUTSIDE, lambda *told: None)
    assert (result.exit_code, result.outcome) == (NetworkError.exit_code, Outcome.ERROR)
    assert result.next_step.startswith(next_step)


def test_a_whole_way_through(plan: Plan, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/the/users/own")
    told = document(check("passed"), check("skipped", name="gpu", reason="no GPU"))
    (tmp_path / "document.json").write_text(json.dumps(told))
    python = script(
        "echo 'smoke: imports ...' >&2; echo 'W0000 the framework talks' >&2\n"
        f"echo 'smoke: imports passed 0.1s' >&2; echo \"$@\" >{tmp_path}/arguments; env >{tmp_path}/environment\n"
        f"cat {tmp_path}/document.json"
    )
    result, steps = run(plan, python)
    assert (result.outcome, result.exit_code, result.reason) == (Outcome.PASSED, 0, "1 passed, 1 skipped")
    assert result.document == told
    assert result.log == ("smoke: imports ...", "W0000 the framework talks", "smoke: imports passed 0.1s")
    assert [text for step, text in steps if step == "check"] == ["imports ...", "imports passed 0.1s"]
    assert [step for step, _ in steps] == ["plan", "build", "check", "check", "passed"]
    told = (tmp_path / "arguments").read_text()
    assert told.startswith("-m smoke --framework torch --json - --timeout 1 --throughput 0 ")
    environment = (tmp_path / "environment").read_text().splitlines()
    assert f"PYTHONPATH={plan.root}:/the/users/own" in environment
    assert {"prepare", "start", "run"} == set(result.seconds)


#: As smoke/__main__.py says it.
NO_ROOM = "smoke: no temporary folder: [Errno 28] /tmp is full"


def test_smoke_says_so(root: Path) -> None:
    assert 'print(f"smoke: no temporary folder: {problem}; ' in (root / "smoke" / "__main__.py").read_text()


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("exit 5", ContractError, "ended with exit code 5 and without a document"),
        (f"echo '{NO_ROOM}; make room' >&2; exit 2", DiskFullError, "no temporary folder: [Errno 28] /tmp is full"),
        ("exit 0", ContractError, "ended with exit code 0 and without a document"),
        ("echo Traceback >&2; exit 1", ContractError, "ended with exit code 1 and without a document"),
        ("kill -KILL $$", KilledError, "was killed by SIGKILL"),
        ("kill -SEGV $$", KilledError, "was killed by SIGSEGV"),
        ("exit 137", KilledError, "was killed by SIGKILL"),
        ("echo Illegal instruction", ContractError, "what came out is not JSON"),
        ("printf '\\377\\376'", ContractError, "what came out is not JSON"),
        ("printf '{\"schema_version\": 1'", ContractError, "what came out is not JSON"),
        ("printf '[]'", ContractError, "document: [] is not of type 'object'"),
        ("printf '{}'", ContractError, "document: 'schema_version' is a required property"),
    ],
)
def test_what_is_no_document_is_an_error_of_its_own(
    plan: Plan, script: Script, body: str, error: type[DlmatrixError], says: str
) -> None:
    result, steps = run(plan, script(body))
    assert (result.outcome, result.exit_code) == (Outcome.ERROR, error.exit_code)
    assert result.reason.startswith(f"cpu-torch-2.13: {says}")
    assert result.next_step
    assert result.document is None
    assert steps[-1] == ("error", result.reason)


@pytest.mark.parametrize(
    ("told", "where"),
    [
        (document(schema_version=1), "schema_version: 2 was expected"),
        (document(check("perfect")), "checks/0/outcome: 'perfect' is not one of"),
        (document(surprise=1), "document: Additional properties are not allowed ('surprise' was unexpected)"),
    ],
)
def test_a_document_that_does_not_fit_the_schema_names_the_place(
    plan: Plan, script: Script, tmp_path: Path, told: dict[str, Any], where: str
) -> None:
    (tmp_path / "document.json").write_text(json.dumps(told))
    result, _ = run(plan, script(f"cat {tmp_path}/document.json"))
    assert result.exit_code == ContractError.exit_code
    assert result.reason.startswith(f"cpu-torch-2.13: {where}")


def test_a_hang_is_ended_and_named(plan: Plan, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_OVERTIME_SECONDS", -0.9)
    os.mkfifo(tmp_path / "fifo")
    result, _ = run(plan, script(f"echo 'smoke: training ...' >&2; cat {tmp_path}/fifo"))
    assert (result.outcome, result.exit_code) == (Outcome.ERROR, HangError.exit_code)
    assert result.reason == "cpu-torch-2.13: did not end within 1 s"
    assert "--timeout" in result.next_step
    assert result.log == ("smoke: training ...",)


def test_one_env_s_error_does_not_stop_the_next(plan: Plan, script: Script, tmp_path: Path) -> None:
    (tmp_path / "document.json").write_text(json.dumps(document(check("passed"))))
    engine = HostEngine(script(f"cat {tmp_path}/document.json"))

    def broken() -> Plan:
        raise ConfigError("no lock", "make one")

    results = run_all(engine, [broken, lambda: plan], [plan.env, plan.env], OUTSIDE, lambda *_: None)
    assert [(r.outcome.value, r.exit_code, r.reason, r.next_step) for r in results] == [
        ("error", 3, "no lock", "make one"),
        ("passed", 0, "1 passed, 0 skipped", ""),
    ]


def test_an_impossible_env_is_skipped_with_its_reason_and_nothing_is_done(matrix: Matrix) -> None:
    class NoEngine:
        name = "none"
        builds_at_once = 1

    def no_plan() -> Plan:
        raise AssertionError("planned")

    env = select(matrix, ["gpu-tf1-1.15"])[0]
    (result,) = run_all(NoEngine(), [no_plan], [env], OUTSIDE, lambda *_: None)  # type: ignore[arg-type]
    assert (result.outcome, result.exit_code, result.reason) == (Outcome.SKIPPED, 77, env.reason)


def test_a_busy_env_is_said_to_be_busy(plan: Plan, script: Script) -> None:
    with exclusive(plan.root, plan.env.name):
        result, _ = run(plan, script("exit 0"))
    assert result.exit_code == 10
    assert f"(process {os.getpid()})" in result.reason


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 9, "/x/y: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "/x/y: Permission denied"),
    ],
)
def test_what_the_system_refuses_is_that_env_s_error(plan: Plan, error: OSError, code: int, says: str) -> None:
    class Refused:
        name = "refused"
        builds_at_once = 1

        def about(self) -> dict[str, str]:
            return {}

        def prepare(self, plan: Plan, say: Say) -> Prepared:
            raise error

        def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
            raise AssertionError("ran")

    (result,) = run_all(Refused(), [lambda: plan], [plan.env], OUTSIDE, lambda *_: None)
    assert (result.outcome, result.exit_code, result.reason) == (Outcome.ERROR, code, says)
    assert result.next_step


def test_an_interpreter_that_cannot_be_started_is_that_env_s_error(plan: Plan, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_bytes(b"\x7fELF broken")
    broken.chmod(0o755)
    result, _ = run(plan, broken)
    assert result.outcome is Outcome.ERROR
    assert str(broken) in result.reason


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_what_is_no_interpreter_is_refused_before_anything_runs(tmp_path: Path, kind: str) -> None:
    python = tmp_path / "python"
    if kind == "folder":
        python.mkdir()
    elif kind == "not executable":
        python.touch(0o644)
    with pytest.raises(UsageError, match="is not an executable interpreter"):
        HostEngine(python)


def test_an_interpreter_is_named_from_where_its_user_stands(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").write_text("#!/bin/sh\npwd\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    engine = HostEngine(Path("mine"))
    done = engine.run(plan, engine.prepare(plan, print), print)
    assert done.stdout.decode().strip() == str(plan.root)


def test_an_interrupt_gets_through_and_leaves_the_env_free(plan: Plan, script: Script) -> None:
    def interrupt(env: str, step: str, text: str) -> None:
        if step == "check":
            raise KeyboardInterrupt

    engine = HostEngine(script("echo 'smoke: imports ...' >&2"))
    with pytest.raises(KeyboardInterrupt):
        run_all(engine, [lambda: plan], [plan.env], OUTSIDE, interrupt)
    with exclusive(plan.root, plan.env.name):
        pass
