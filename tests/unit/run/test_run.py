"""From what came out of an environment to a verdict. The "interpreters" are scripts that really run."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
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
    EngineError,
    HangError,
    KilledError,
    NetworkError,
    UsageError,
)
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Env, Matrix
from dlmatrix.matrix.plan import ALL, Limits, Measuring, Plan, make_plan
from dlmatrix.run.course import Keep, run_all
from dlmatrix.run.outside import Outside
from dlmatrix.run.result import EnvResult
from dlmatrix.run.verdict import exit_code, read_document, verdict
from dlmatrix.system.checkout import find_root
from dlmatrix.system.process import Say, ended_by_interrupts
from dlmatrix.system.state import exclusive
from tests.unit import documents
from tests.unit.documents import document

Script = Callable[..., Path]

OUTSIDE = Outside(load_matrix(find_root()))


def check(outcome: str, kind: str = "verify", name: str = "", reason: str = "because") -> dict[str, Any]:
    return documents.check(name or f"{kind}-{outcome}", outcome, kind, "" if outcome == "passed" else reason)


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    env = select(matrix, ["cpu-torch-2.13"])[0]
    plan = make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits(timeout_seconds=1))
    return replace(plan, measuring=Measuring(seconds=0))


def run(plan: Plan, python: Path) -> tuple[EnvResult, list[tuple[str, str]]]:
    """Run the plan's env with this interpreter; the result, and what was told on the way."""
    told: list[tuple[str, str]] = []
    (result,) = run_all(
        HostEngine(python), [lambda: plan], [plan.env], OUTSIDE, lambda env, step, text: told.append((step, text))
    )
    return result, told


@pytest.mark.parametrize(
    ("variant", "checks", "ended", "outcome", "code", "reason"),
    [
        ("cpu", [check("passed"), check("passed")], 0, "passed", 0, "2 passed, 0 skipped"),
        ("cpu", [check("passed"), check("skipped")], 0, "passed", 0, "1 passed, 1 skipped"),
        ("cpu", [check("passed"), check("failed"), check("error")], 1, "failed", 1, "verify-failed: because"),
        ("cpu", [check("passed"), check("error")], 1, "error", 1, "verify-error: because"),
        ("cpu", [check("passed"), check("error")], 13, "error", 13, "verify-error: because"),
        ("cpu", [check("passed"), check("error")], 14, "error", 14, "verify-error: because"),
        ("cpu", [check("failed"), check("error")], 13, "failed", 1, "verify-failed: because"),
        # A skip is never a pass.
        ("cpu", [check("skipped"), check("skipped")], 0, "skipped", 77, "because (so do verify-skipped)"),
        ("cpu", [], 1, "skipped", 77, "no check ran"),
        ("cpu", [check("passed"), check("skipped", reason=" ")], 0, "error", 11, "without a reason: verify-skipped"),
        ("cpu", [check("passed"), check("skipped", "detection")], 0, "passed", 0, "1 passed, 1 skipped"),
        ("gpu", [check("passed"), check("passed", "detection")], 0, "passed", 0, "2 passed"),
        ("gpu", [check("passed"), check("skipped", "detection")], 0, "skipped", 77, "passed on the CPU; because"),
        (
            "gpu",
            [check("passed", "detection"), check("skipped", "detection", reason="no matrix product on it")],
            *(0, "skipped", 77, "passed on the CPU; no matrix product on it"),
        ),
        ("gpu", [check("passed")], 0, "skipped", 77, "passed on the CPU; nothing looked for a GPU"),
        (
            "gpu",
            [{**check("skipped"), "data": {"no_room": True}}, check("skipped", "detection", reason="300 MiB free")],
            *(0, "skipped", 77, "passed as far as it went; 300 MiB free"),
        ),
        ("gpu", [check("passed"), check("failed", "detection")], 1, "failed", 1, "detection-failed: because"),
    ],
)
def test_the_verdict(
    *, variant: str, checks: list[dict[str, Any]], ended: int, outcome: str, code: int, reason: str
) -> None:
    found = verdict(variant, document(*checks), ended)
    assert (found[0].value, found[1]) == (outcome, code)
    assert reason in found[2]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 77], 77), ([77], 77), ([0, 1, 77], 1), ([0, 13, 77], 13), ([13, 13], 13), ([13, 14], 1)],
)
def test_one_exit_code_for_a_whole_run(codes: list[int], code: int) -> None:
    assert exit_code(codes) == code


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


@pytest.mark.parametrize(
    ("checks", "code", "says"),
    [
        ([check("passed")], 1, "exit code 1, and their document says that nothing went wrong"),
        ([check("passed")], 13, "exit code 13, and their document says that nothing went wrong"),
        ([check("failed")], 0, "exit code 0, and their document says that verify-failed went wrong"),
    ],
)
def test_an_exit_code_that_contradicts_the_document_is_believed_as_little_as_the_document(
    plan: Plan, checks: list[dict[str, Any]], code: int, says: str
) -> None:
    completed = Completed(exit_code=code, stdout=json.dumps(document(*checks)).encode(), start_seconds=0.0)
    with pytest.raises(ContractError, match=says):
        read_document(plan, completed)


def test_killed_for_memory_is_said_where_the_engine_knows(plan: Plan) -> None:
    completed = Completed(exit_code=137, stdout=b"", start_seconds=0.0, killed_for_memory=True)
    with pytest.raises(KilledError, match="was killed for memory"):
        read_document(plan, completed)


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


def test_an_interrupt_while_the_second_is_measured_keeps_the_first_and_the_second_s_checks(plan: Plan) -> None:
    def interrupt(plan: Plan) -> Completed:
        if plan.env.short == "2":
            raise KeyboardInterrupt
        return passed("throughput")

    one, two, three = ran(Watched(measuring=interrupt), plan, ["1", "2", "3"])
    assert (one.outcome, one.exit_code) == (Outcome.PASSED, 0)
    assert (two.outcome, two.exit_code, two.reason) == (Outcome.ERROR, 130, "interrupted before its end")
    assert (three.exit_code, three.reason) == (130, "interrupted before its end")
    for result in (two, three):
        assert result.document
        assert result.document["checks"][0]["outcome"] == "passed"


@pytest.mark.timeout(60)
def test_an_interrupt_while_two_are_checked_is_told_from_errors_of_their_own(plan: Plan) -> None:
    kept, told, ended = threading.Event(), [], threading.Event()

    class Waiting(Watched):
        def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
            if plan.env.short == "1":
                return passed("imports")
            with ended_by_interrupts(lambda number: ended.set()):
                assert kept.wait(60)  # the first has its document
                os.kill(os.getpid(), signal.SIGINT)
                assert ended.wait(60)
                raise KilledError("was killed by SIGINT")

    def keep(results: Sequence[EnvResult]) -> None:
        if results[0].document:
            kept.set()

    envs = [replace(plan.env, short=short) for short in ("1", "2")]
    one, two = run_all(
        Waiting(),
        [lambda env=env: replace(plan, env=env) for env in envs],
        envs,
        OUTSIDE,
        lambda env, step, text: told.append((step, text)),
        keep=keep,
    )
    assert one.document
    assert (two.outcome, two.exit_code, two.reason) == (Outcome.ERROR, 130, "interrupted before its end")
    assert "error" not in {step for step, _ in told}


def test_how_all_envs_stand_is_told_whenever_one_has_come_further(plan: Plan) -> None:
    stood: list[tuple[int, ...]] = []
    ran(Watched(at_once=2), plan, ["1", "2"], keep=lambda results: stood.append(tuple(r.exit_code for r in results)))
    assert stood == [(130, 130), (130, 130), (0, 130), (0, 0)]


class Watched:
    """An engine whose runs are told from each other and held against the clock of none."""

    name, contains, builds_at_once = "watched", False, 1

    def __init__(self, *, at_once: int = 1, measuring: Callable[[Plan], Completed] | None = None) -> None:
        self.together = threading.Barrier(at_once)
        self.measuring = measuring
        self.lock = threading.Lock()
        self.active: list[str] = []
        self.began: list[str] = []
        self.beside: list[tuple[str, ...]] = []

    def about(self) -> dict[str, str]:
        return {}

    def place(self, plan: Plan) -> None:
        return None

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        with self.lock:
            self.active.append(what)
            self.began.append(what)
        try:
            yield
        finally:
            with self.lock:
                self.beside.append(tuple(self.active))
                self.active.remove(what)

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        with self.doing(f"build {plan.env.short}"):
            return Prepared(what="x", built=True, seconds=0.1)

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        part = "check" if plan.measuring.later else "measure" if plan.measuring.only else "all"
        with self.doing(f"{part} {plan.env.short}"):
            if part == "check":
                self.together.wait(60)
            elif part == "measure" and self.measuring:
                return self.measuring(plan)
            left = check("skipped", "throughput", "throughput") | {"data": {"later": True}}
            measured = check("passed", "throughput", "throughput")
            checks = [check("passed")] if part != "measure" else []
            found = document(*checks, left if part == "check" else measured, log={"lines": 1, "tail": [part]})
            return Completed(exit_code=0, stdout=json.dumps(found).encode(), start_seconds=0.25)


def passed(name: str) -> Completed:
    """What a run of one check brings."""
    stdout = json.dumps(document(check("passed", name=name))).encode()
    return Completed(exit_code=0, stdout=stdout, start_seconds=0.0)


def ran(
    engine: Watched, plan: Plan, shorts: list[str], *, gpu: str = "", keep: Keep = lambda results: None
) -> list[EnvResult]:
    plans = [replace(plan, env=replace(plan.env, short=short)) for short in shorts]

    class Here(Outside):
        def gpus(self, env: Env) -> tuple[str, ...]:
            return ALL if env.short == gpu else ()

    there = Here(load_matrix(find_root()))
    return run_all(engine, [lambda p=p: p for p in plans], [p.env for p in plans], there, lambda *_: None, keep=keep)


def test_checks_of_two_envs_overlap_and_measuring_is_beside_nothing(plan: Plan) -> None:
    engine = Watched(at_once=2)  # a check waits there until the other has begun
    results = ran(engine, plan, ["1", "2", "3", "4"])
    assert [result.outcome for result in results] == [Outcome.PASSED] * 4
    assert engine.began[-4:] == [f"measure {n}" for n in "1234"]
    assert [beside for beside in engine.beside if len(beside) > 1 and "measure" in " ".join(beside)] == []
    assert max(len(beside) for beside in engine.beside) == 2


def test_one_env_is_checked_and_measured_in_one_go(plan: Plan) -> None:
    engine = Watched()
    ran(engine, plan, ["1"])
    assert engine.began == ["build 1", "all 1"]


def test_an_env_with_a_gpu_has_it_for_itself(plan: Plan) -> None:
    engine = Watched()
    ran(engine, plan, ["1", "2"], gpu="1")
    assert engine.began[-2:] == ["all 1", "measure 2"]
    assert ("all 1",) in engine.beside


def test_what_is_measured_later_enters_the_document_of_the_checks(plan: Plan) -> None:
    (one, _) = ran(Watched(at_once=2), plan, ["1", "2"])
    assert one.document
    assert [(entry["id"], entry["outcome"]) for entry in one.document["checks"]] == [
        ("verify-passed", "passed"),
        ("throughput", "passed"),
    ]
    assert one.document["log"] == {"lines": 2, "tail": ["check", "measure"]}
    assert one.document["seconds"] == 2.0
    assert one.seconds["start"] == 0.25


def test_measuring_that_breaks_down_loses_no_check_and_stops_no_other_env(plan: Plan) -> None:
    def broken(plan: Plan) -> Completed:
        if plan.env.short == "1":
            raise EngineError("the engine went away")
        found = document(check("error", "throughput", "throughput"))
        return Completed(exit_code=13, stdout=json.dumps(found).encode(), start_seconds=0.0)

    one, two = ran(Watched(at_once=2, measuring=broken), plan, ["1", "2"])
    assert (one.outcome, one.reason) == (Outcome.ERROR, "the engine went away")
    assert one.document
    assert one.document["checks"][0]["outcome"] == "passed"
    assert (two.outcome, two.exit_code) == (Outcome.ERROR, 13)


def test_envs_keep_their_order(plan: Plan) -> None:
    envs: list[Env] = [replace(plan.env, short=short) for short in ("9", "1", "5")]

    def broken() -> Plan:
        raise ConfigError("x")

    engine = HostEngine(Path("/bin/sh"))
    assert [r.env.short for r in run_all(engine, [broken] * 3, envs, OUTSIDE, lambda *_: None)] == ["9", "1", "5"]
