"""Envs beside each other: what overlaps, what does not, and what an interrupt leaves of each."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.document.check import Outcome
from dlmatrix.engines.host import HostEngine
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import (
    ConfigError,
    EngineError,
    KilledError,
)
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Env
from dlmatrix.matrix.plan import ALL, Plan
from dlmatrix.run.course import Keep, run_all
from dlmatrix.run.outside import Outside
from dlmatrix.run.result import EnvResult
from dlmatrix.system.checkout import find_root
from dlmatrix.system.process import Say, ended_by_interrupts
from tests.unit.documents import document
from tests.unit.run.checks import OUTSIDE, check


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
