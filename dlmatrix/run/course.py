"""Carries out plans: builds and checks, two envs at a time, then measures one after the other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dlmatrix.document.check import Check, Outcome
from dlmatrix.engines.protocol import Completed, Engine, Prepared
from dlmatrix.errors import DlmatrixError, GpuRefusedError, NetworkError, SkippedEnv, of_system, typed
from dlmatrix.gpu.diagnosis import Launch
from dlmatrix.matrix.model import Env, Status
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.bare_metal import BareMetal
from dlmatrix.run.outside import Outside
from dlmatrix.run.result import EnvResult, nothing_came, unfinished
from dlmatrix.run.verdict import read_document, verdict
from dlmatrix.system.bounded import Lines
from dlmatrix.system.process import in_threads
from dlmatrix.system.state import exclusive

#: Receives an env's name, the step it is at, and a line about it.
Tell = Callable[[str, str, str], None]

#: Makes an env's plan; reads its lock, and so may fail.
MakePlan = Callable[[], Plan]

#: Receives how all envs stand, whenever one of them has come further. Several threads call it, never at once.
Keep = Callable[[Sequence[EnvResult]], None]

#: Envs that are built and checked at a time: while one reads, or computes in a single thread, the other computes.
#: More would need the memory of more.
AT_ONCE = 2
#: What to do where the index that alone has a cell's wheel was not reached.
_OWN_INDEX = (
    "its wheel is on PyTorch's own index: run it where that can be reached, or name the folder that has the wheel as "
    "find-links to pip or uv; `python -m dlmatrix list` says which envs are verified"
)
#: Where a line of the checks' own progress begins; other lines are the framework's.
_PROGRESS = "smoke: "
_CONFIRMED = "take this first passing run into the matrix, whose mark it removes: python -m dlmatrix record REPORT"


@dataclass
class _Course:
    """One env on its way to a result."""

    env: Env
    tell: Tell
    plan: Plan | None = None
    prepared: Prepared | None = None
    document: dict[str, Any] | None = None
    #: how ``python -m smoke`` ended, and what the engine said where it refused the GPUs
    exit_code: int = 0
    launch: Launch | None = None
    error: DlmatrixError | None = None
    ended: EnvResult | None = None
    #: set once the run is interrupted, before what its envs wait for is ended
    stopping: threading.Event = field(default_factory=threading.Event)
    seconds: dict[str, float] = field(default_factory=dict)
    log: Lines = field(default_factory=Lines)
    #: what is let go of at the end: the env, which no other run may change meanwhile
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """A step's error is the env's, and does not stop the others."""
        try:
            yield
        except (DlmatrixError, OSError) as raised:
            if self.stopping.is_set():  # it was ended by us, and says that it was killed
                return
            self.error = raised if isinstance(raised, DlmatrixError) else of_system(raised)
            self.tell(self.env.name, _outcome(self.error).value, self.error.message)

    def follow(self, line: str) -> None:
        """Keep a line of what runs inside; a line of the checks' own progress is told."""
        self.log.append(line)
        if line.startswith(_PROGRESS):
            self.tell(self.env.name, "check", line.removeprefix(_PROGRESS))

    def add(self, document: dict[str, Any], check: Check) -> None:
        """Put a check made from outside beside those made inside, and tell it."""
        line = f"{check['id']} {check['outcome']} {check['seconds']:.1f}s {check['reason']}"
        self.tell(self.env.name, "check", line)
        document["checks"].append(check)

    def result(self, outcome: Outcome, exit_code: int, reason: str, **more: Any) -> EnvResult:
        """How it went."""
        return EnvResult(
            env=self.env,
            outcome=outcome,
            exit_code=exit_code,
            reason=reason,
            prepared=self.prepared,
            document=self.document,
            seconds=dict(self.seconds),
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
    keep: Keep = lambda results: None,
) -> list[EnvResult]:
    """Plan every env; build and check two at a time; then measure, one after the other and beside nothing.

    What one env ends in does not stop the others. An interrupt ends the run: the results tell which envs it came
    before the end of; where nothing came out of any, it gets out of here as an exception.
    """
    stopping, keeping = threading.Event(), threading.Lock()
    courses = [_Course(env, tell, stopping=stopping) for env in envs]
    for course, make in zip(courses, plans, strict=True):
        with course.step():
            _plan(course, make, outside)
    planned = [course for course in courses if course.plan]
    together = {id(course) for course in planned if len(planned) > 1 and course.plan and not course.plan.gpu}
    builds = threading.Semaphore(engine.builds_at_once)

    def first(course: _Course) -> None:
        with builds:
            _build(engine, course)
        if id(course) in together:
            _check(engine, course, outside, later=True)
        kept()

    def second(course: _Course) -> None:
        if id(course) in together:
            _measure(engine, course)
        else:  # nobody's checks are kept waiting; and a GPU is not shared
            _check(engine, course, outside, later=False)
        if bare:
            _hold(engine, course, bare)
        course.held.close()
        course.ended = _ended(course)
        kept()

    def kept() -> None:
        with keeping:
            keep([_so_far(course) for course in courses])

    try:
        with contextlib.ExitStack() as stack:
            for course in courses:
                stack.enter_context(course.held)
            in_threads([partial(first, course) for course in planned], AT_ONCE, stopping.set)
            for course in courses:
                second(course)
    except KeyboardInterrupt:
        if nothing_came([_so_far(course) for course in courses]):
            raise
    return [_so_far(course) for course in courses]


def _plan(course: _Course, make: MakePlan, outside: Outside) -> None:
    """A gpu env is started with the machine's GPUs where they can be used."""
    env = course.env
    if env.status is Status.IMPOSSIBLE:
        raise SkippedEnv(env.reason)
    outside.gate(env)
    plan = replace(make(), gpus=outside.gpus(env))
    locked = f"{len(plan.lock.entries)} locked"
    course.tell(env.name, "plan", f"{' '.join(env.requirements)}, Python {env.python}, {locked}")
    course.plan = plan


def _build(engine: Engine, course: _Course) -> None:
    plan = course.plan
    assert plan  # noqa: S101 - only what was planned is built

    def keep(line: str) -> None:
        course.log.append(line)
        course.tell(plan.env.name, "building", line)

    with course.step():
        course.held.enter_context(exclusive(plan.root, plan.env.name))
        try:
            prepared = engine.prepare(plan, keep)
        except NetworkError as error:
            raise NetworkError(error.message, _OWN_INDEX if "+cpu" in plan.env.pin else error.next_step) from None
        what = "built" if prepared.built else "up to date"
        base = prepared.facts.get("base", "nothing")
        course.tell(plan.env.name, "build", f"{what} in {prepared.seconds:.2f} s on {base}")
        course.prepared, course.seconds["prepare"] = prepared, prepared.seconds


def _check(engine: Engine, course: _Course, outside: Outside, later: bool) -> None:
    """Run the checks; where a GPU cannot be used, on the CPU, and the diagnosis is part of the result.

    ``later``: what is measured is left to ``_measure``.
    """
    plan, prepared = course.plan, course.prepared
    if plan is None or prepared is None:
        return
    plan = replace(plan, measuring=replace(plan.measuring, later=later))
    with course.step():
        started = time.perf_counter()
        completed, course.launch = _run(engine, plan, prepared, course.follow)
        course.exit_code = completed.exit_code
        if completed.gpus:
            course.prepared = replace(prepared, facts={**prepared.facts, "GPUs": completed.gpus})
        course.seconds |= {"start": completed.start_seconds, "run": time.perf_counter() - started}
        document = read_document(plan, completed)
        document["checks"] += prepared.checks
        for check in outside.checks(engine, plan, prepared, document, course.launch):
            course.add(document, check)
        course.document = document


def _measure(engine: Engine, course: _Course) -> None:
    """Measure what the checks have left for later, and put it into their document."""
    plan, prepared, document = course.plan, course.prepared, course.document
    if plan is None or prepared is None or document is None:
        return
    left = next((n for n, check in enumerate(document["checks"]) if check["data"].get("later")), None)
    if left is None:
        return
    plan = replace(plan, measuring=replace(plan.measuring, only=True))
    with course.step():
        started = time.perf_counter()
        completed = engine.run(plan, prepared, course.follow)
        measured = read_document(plan, completed)
        course.exit_code = completed.exit_code or course.exit_code
        course.seconds["run"] += time.perf_counter() - started
        document["checks"][left : left + 1] = measured["checks"]
        document["throughput"] = measured["throughput"]
        document["seconds"] += measured["seconds"]
        logs = document["log"], measured["log"]
        document["log"] = {key: logs[0][key] + logs[1][key] for key in ("lines", "tail")}


def _hold(engine: Engine, course: _Course, bare: BareMetal) -> None:
    """Hold what was measured against bare metal."""
    plan, prepared, document = course.plan, course.prepared, course.document
    if plan and prepared and document and not course.error:
        with course.step():
            ran = plan if course.launch is None else replace(plan, gpus=())
            found = bare.check(engine, ran, prepared, document=document, say=course.follow, read=read_document)
            course.add(document, found)


def _so_far(course: _Course) -> EnvResult:
    """How an env stands: that is how it ended, or what there is where the run is ended before it."""
    if course.ended or course.error:
        return course.ended or _ended(course)
    one = unfinished(course.env)
    return course.result(one.outcome, one.exit_code, one.reason, next_step=one.next_step)


def _ended(course: _Course) -> EnvResult:
    """The verdict."""
    error, document = course.error, course.document
    if error:
        return course.result(_outcome(error), error.exit_code, error.message, next_step=error.next_step)
    assert document  # noqa: S101 - without one there is an error
    outcome, exit_code, reason = verdict(course.env.variant, document, course.exit_code)
    course.tell(course.env.name, outcome.value, reason)
    confirmed = outcome is Outcome.PASSED and course.env.status is Status.UNVERIFIED
    return course.result(outcome, exit_code, reason, next_step=typed(_CONFIRMED) if confirmed else "")


def _outcome(error: DlmatrixError) -> Outcome:
    return Outcome.SKIPPED if isinstance(error, SkippedEnv) else Outcome.ERROR


def _run(engine: Engine, plan: Plan, prepared: Prepared, say: Callable[[str], None]) -> tuple[Completed, Launch | None]:
    """Run the checks; without the GPUs where the engine refuses them, and then with what it said."""
    try:
        return engine.run(plan, prepared, say), None
    except GpuRefusedError as refused:
        return engine.run(replace(plan, gpus=()), prepared, say), Launch(error=refused.message)
