"""Carries out plans: builds, then checks, one env after the other."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dlmatrix.document.check import Outcome
from dlmatrix.engines.protocol import Completed, Engine, Prepared
from dlmatrix.errors import DlmatrixError, GpuRefusedError, SkippedEnv, of_system
from dlmatrix.gpu.diagnosis import Launch
from dlmatrix.matrix.model import Env, Status
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.bare_metal import BareMetal
from dlmatrix.run.outside import Outside
from dlmatrix.run.verdict import read_document, verdict
from dlmatrix.system.process import in_threads
from dlmatrix.system.state import exclusive

#: Receives an env's name, the step it is at, and a line about it.
Tell = Callable[[str, str, str], None]

#: Makes an env's plan; reads its lock, and so may fail.
MakePlan = Callable[[], Plan]

#: Where a line of the checks' own progress begins; other lines are the framework's.
_PROGRESS = "smoke: "
_CONFIRMED = "take this first passing run into the matrix, whose mark it removes: python -m dlmatrix record REPORT"


@dataclass(frozen=True, kw_only=True)
class EnvResult:
    """How one env went. ``exit_code`` is 0 for passed, 77 for skipped, else the failure's own."""

    env: Env
    outcome: Outcome
    exit_code: int
    reason: str = ""
    next_step: str = ""
    prepared: Prepared | None = None
    #: seconds per step: prepare, start (to the started process), run
    seconds: Mapping[str, float] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    log: tuple[str, ...] = ()


@dataclass
class _Course:
    """One env on its way to a result."""

    env: Env
    tell: Tell
    plan: Plan | None = None
    prepared: Prepared | None = None
    error: DlmatrixError | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A step's error is the env's, and does not stop the others."""
        try:
            yield
        except (DlmatrixError, OSError) as raised:
            self.error = raised if isinstance(raised, DlmatrixError) else of_system(raised)
            self.tell(self.env.name, _outcome(self.error).value, self.error.message)

    def result(self, outcome: Outcome, exit_code: int, reason: str, **more: Any) -> EnvResult:
        """How it went."""
        return EnvResult(
            env=self.env,
            outcome=outcome,
            exit_code=exit_code,
            reason=reason,
            prepared=self.prepared,
            seconds=self.seconds,
            log=tuple(self.log),
            **more,
        )


def run_all(
    engine: Engine,
    plans: Iterable[MakePlan],
    envs: Iterable[Env],
    outside: Outside,
    tell: Tell,
    *,
    bare: BareMetal | None = None,
) -> list[EnvResult]:
    """Plan every env, build every env, then check one after the other; what one ends in does not stop the others.

    No build goes on beside a check, whose figures it would falsify. Only an interrupt gets out of
    here as an exception.
    """
    courses = [_Course(env, tell) for env in envs]
    for course, make in zip(courses, plans, strict=True):
        with course.step():
            _plan(course, make, outside)
    in_threads([partial(_build, engine, c) for c in courses if c.plan], engine.builds_at_once)
    return [_check(engine, course, outside, bare) for course in courses]


def _plan(course: _Course, make: MakePlan, outside: Outside) -> None:
    """A gpu env is started with the machine's GPUs where they can be used."""
    env = course.env
    if env.status is Status.IMPOSSIBLE:
        raise SkippedEnv(env.reason)
    outside.gate(env)
    plan = replace(make(), gpu=outside.gpu(env))
    locked = f"{len(plan.lock.entries)} locked"
    course.tell(env.name, "plan", f"{' '.join(env.requirements)}, Python {env.python}, {locked}")
    course.plan = plan


def _build(engine: Engine, course: _Course) -> None:
    plan = course.plan
    assert plan  # noqa: S101 - only what was planned is built

    def keep(line: str) -> None:
        course.log.append(line)
        course.tell(plan.env.name, "building", line)

    with course.step(), exclusive(plan.root, plan.env.name):
        prepared = engine.prepare(plan, keep)
        what = "built" if prepared.built else "up to date"
        base = prepared.facts.get("base", "nothing")
        course.tell(plan.env.name, "build", f"{what} in {prepared.seconds:.2f} s on {base}")
        course.prepared, course.seconds["prepare"] = prepared, prepared.seconds


def _check(engine: Engine, course: _Course, outside: Outside, bare: BareMetal | None) -> EnvResult:
    """Run the checks; where a GPU cannot be used, on the CPU, and the diagnosis is part of the result."""
    env, plan, prepared = course.env, course.plan, course.prepared
    if plan and prepared:
        with course.step(), exclusive(plan.root, env.name):
            started = time.perf_counter()
            follow = _follow(env, course.tell, course.log)
            completed, launch = _run(engine, plan, prepared, follow)
            course.seconds |= {"start": completed.start_seconds, "run": time.perf_counter() - started}
            document = read_document(plan, completed)
            document["checks"] += prepared.checks
            checks = outside.checks(engine, plan, prepared, document, launch)
            if bare:
                ran = replace(plan, gpu=plan.gpu and launch is None)
                checks.append(bare.check(engine, ran, prepared, document=document, say=follow, read=read_document))
            for check in checks:
                line = f"{check['id']} {check['outcome']} {check['seconds']:.1f}s {check['reason']}"
                course.tell(env.name, "check", line)
                document["checks"].append(check)
    if course.error:
        error = course.error
        return course.result(_outcome(error), error.exit_code, error.message, next_step=error.next_step)
    outcome, exit_code, reason = verdict(env, document, completed.exit_code)
    course.tell(env.name, outcome.value, reason)
    confirmed = outcome is Outcome.PASSED and env.status is Status.UNVERIFIED
    return course.result(outcome, exit_code, reason, document=document, next_step=_CONFIRMED if confirmed else "")


def _outcome(error: DlmatrixError) -> Outcome:
    return Outcome.SKIPPED if isinstance(error, SkippedEnv) else Outcome.ERROR


def _run(engine: Engine, plan: Plan, prepared: Prepared, say: Callable[[str], None]) -> tuple[Completed, Launch | None]:
    """Run the checks; without the GPUs where the engine refuses them, and then with what it said."""
    try:
        return engine.run(plan, prepared, say), None
    except GpuRefusedError as refused:
        return engine.run(replace(plan, gpu=False), prepared, say), Launch(error=refused.message)


def _follow(env: Env, tell: Tell, log: list[str]) -> Callable[[str], None]:
    def say(line: str) -> None:
        log.append(line)
        if line.startswith(_PROGRESS):
            tell(env.name, "check", line.removeprefix(_PROGRESS))

    return say
