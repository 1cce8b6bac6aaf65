"""Signals to everything that a run consists of, in each of its phases."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tests.faults.judge import Fault
from tests.faults.stage import FIRST, ROOT, SECOND, Run, Stage, poll

_INT, _TERM, _HUP, _KILL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL
#: Where a run is stopped at in a phase that lasts no time.
_PHASES = ("building", "checking", "measuring", "writing the report")
_MOMENTS = {
    "planning": "dlmatrix.run.course:_plan",
    "writing the report": "dlmatrix.report.write:summary",
    "keeping a result": "dlmatrix.report.folder:replace",
    "looking into the image": "dlmatrix.inspection.contents:check",
}


@contextmanager
def building(stage: Stage, *, nox: bool = False) -> Iterator[Run]:
    """A run whose build never ends: of a venv since its index does not answer, of an image since a step sleeps."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    finish = stage.root / "docker" / "finish-env"
    before = lock.read_text(), finish.read_text()
    lock.write_text(f"{before[0]}# {stage.runs}\n")
    # No other sleep on this machine is so long, and what runs in the engine's containers is seen from here.
    seconds = f"600.{os.getpid()}{stage.runs}"
    finish.write_text(f"sleep {seconds}\n{before[1]}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        # Where a folder has the wheel no index is asked, and it is installed before anything can happen to it.
        links = {} if stage.engine == "docker" else {"UV_FIND_LINKS": ""}
        run = stage.start("run", FIRST, nox=nox, UV_DEFAULT_INDEX=index, **links)
        if stage.engine == "docker":  # not before: docker's command swallows a signal that comes while buildx starts
            poll(lambda: any(seconds.encode() in _line(int(one.name)) for one in Path("/proc").glob("[0-9]*")))
        else:
            poll(lambda: any(b"pip\0install" in _line(number) for number in stage.processes()))
        try:
            yield run
        finally:
            lock.write_text(before[0])
            finish.write_text(before[1])


@contextmanager
def checking(stage: Stage) -> Iterator[Run]:
    """A run of two envs, of which the first has ended its checks and the second's never end."""
    run = stage.start("run", FIRST, SECOND)
    run.until("waits failed")
    poll(lambda: b'"checks": [\n' in (run.report / "result.json").read_bytes())
    yield run


@contextmanager
def measuring(stage: Stage) -> Iterator[Run]:
    """A run of two envs that have both ended their checks, and of which the first is measured without end."""
    stage.act(second_ends=True, measures=True)
    run = stage.start("run", FIRST, SECOND)
    run.until("measures failed")
    try:
        yield run
    finally:
        stage.act()


def stop(stage: Stage, phase: str, number: int) -> Run:
    """Send a signal to a run in a phase."""
    lasting: Mapping[str, Callable[[Stage], AbstractContextManager[Run]]]
    lasting = {"building": building, "checking": checking, "measuring": measuring}
    if phase in lasting:
        with lasting[phase](stage) as run:
            run.process.send_signal(number)
            return run.finish()
    if phase == "looking into the image":
        shutil.rmtree(stage.state / "examined", ignore_errors=True)
    run = stage.start(pause=_MOMENTS[phase])
    stage.moment()
    run.process.send_signal(number)
    return run.finish()


def in_closure(stage: Stage) -> Run:
    """Kill it when the engine has given the layers that nobody has read yet, and the first is about to be read."""
    cache = stage.folder / "cache" / "layers"
    shutil.rmtree(cache / "looked", ignore_errors=True)
    run = stage.start("closure", FIRST, pause="dlmatrix.inspection.layers:read_layer")
    stage.moment()
    assert list(cache.glob("tmp-*/layout/index.json"))
    run.process.send_signal(_KILL)
    return run.finish()


def in_a_look(stage: Stage) -> Run:
    """Kill a run while a container looks into its base, and never ends."""
    shutil.rmtree(stage.state / "examined", ignore_errors=True)
    shim = stage.folder / "bin" / "docker"
    shim.parent.mkdir(exist_ok=True)
    really = shutil.which("docker")
    shim.write_text(
        "#!/usr/bin/env python3\nimport os, sys\nwords = sys.argv[1:]\n"
        "if words[0] == 'run':\n    at = words.index('--entrypoint')\n    words[at + 1] = 'sleep'\n"
        "    image = next(n for n, word in enumerate(words) if n > at + 1 and not word.startswith('-'))\n"
        f"    words[image + 1:] = ['600']\nos.execv({really!r}, ['docker', *words])\n"
    )
    shim.chmod(0o755)
    run = stage.start(PATH=f"{shim.parent}:{os.environ['PATH']}")
    poll(lambda: [one for one in stage.containers() if one.status == "running"])
    run.process.send_signal(_KILL)
    return run.finish()


def nox_stopped(stage: Stage, phase: str, number: int) -> Run:
    """Send a signal to nox alone, while its run builds or checks."""
    for name, target in ((".venv", ROOT / ".venv"), ("noxfile.py", ROOT / "noxfile.py")):
        if not (stage.root / name).exists():
            (stage.root / name).symlink_to(target) if name == ".venv" else shutil.copy(target, stage.root / name)
    (stage.root / "Makefile").write_text("setup:\n")
    if phase == "building":
        with building(stage, nox=True) as run:
            run.process.send_signal(number)
            return run.finish()
    run = stage.start("run", SECOND, nox=True)
    run.until("waits failed")
    run.process.send_signal(number)
    return run.finish()


def part_killed(stage: Stage, word: str, number: int) -> Run:
    """Kill a process that the build consists of."""
    with building(stage) as run:
        for one in stage.processes():
            if word.encode() in _line(one):
                os.kill(one, number)
        return run.finish()


def checks_killed(stage: Stage, number: int) -> Run:
    """Kill what computes in the env: in a venv its process, in a container its first process."""
    with checking(stage) as run:
        _kill(stage, SECOND, number)
        return run.finish()


def measuring_killed(stage: Stage, number: int) -> Run:
    """Kill what measures."""
    with measuring(stage) as run:
        _kill(stage, FIRST, number)
        return run.finish()


def _kill(stage: Stage, env: str, number: int) -> None:
    if stage.engine == "docker":
        (one,) = (c for c in stage.containers() if c.labels["dlmatrix.env"] == env)
        one.kill(signal=number)
        return
    for one in stage.processes():
        if env.encode() in _line(one):
            os.kill(one, number)


def twice(stage: Stage) -> Run:
    """A second signal while the first one's cleaning up goes on."""
    with checking(stage) as run:
        run.process.send_signal(_TERM)
        run.process.send_signal(_HUP)
        return run.finish()


def _line(number: int) -> bytes:
    try:
        with open(f"/proc/{number}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def faults(engine: str) -> Iterator[Fault]:
    """All of them on an engine."""

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    for number in (_INT, _TERM, _HUP, _KILL):
        killed = number == _KILL
        code = -9 if killed else 130
        for phase in _PHASES if engine == "venv" or killed else _PHASES[:3]:
            keeps = () if phase == "building" else (FIRST, SECOND) if phase == "measuring" else (FIRST,)
            short = (phase, number) == ("checking", _KILL) or (engine, phase, number) == ("venv", "building", _TERM)
            says = "" if killed else "interrupted; "
            title = f"{number.name} to dlmatrix while {phase}"
            yield row(
                title,
                partial(stop, phase=phase, number=number),
                code,
                says=says,
                keeps=keeps,
                killed=killed,
                short=short,
            )
        nox_code = {_INT: 130, _TERM: -15, _HUP: -1, _KILL: -9}[number]
        for phase in _PHASES[:2]:
            yield row(
                f"{number.name} to nox while {phase}",
                partial(nox_stopped, phase=phase, number=number),
                nox_code,
                says="dlmatrix: interrupted",
                killed=True,
                short=killed and phase == "checking",
            )
    yield row("SIGTERM to dlmatrix while planning", partial(stop, phase="planning", number=_TERM), 130)
    yield row(
        "SIGKILL to dlmatrix while keeping a result",
        partial(stop, phase="keeping a result", number=_KILL),
        -9,
        killed=True,
    )
    yield row("SIGTERM, and SIGHUP at once, while checking", twice, 130, says="interrupted; ", keeps=(FIRST,))
    if engine == "docker":
        yield row("SIGKILL to dlmatrix in closure", in_closure, -9, killed=True, short=True)
        yield row("SIGKILL to dlmatrix while a container looks into the base", in_a_look, -9, killed=True)
        yield row(
            "SIGKILL to dlmatrix while looking into the image",
            partial(stop, phase="looking into the image", number=_KILL),
            -9,
            killed=True,
        )
        yield row(
            "SIGKILL to the checks' container", partial(checks_killed, number=_KILL), 14, says="killed", keeps=(FIRST,)
        )
        yield row("SIGKILL to buildx", partial(part_killed, word="buildx", number=_KILL), 5, says="SIGKILL")
        for number in (_TERM, _INT, _HUP):
            yield row(f"{number.name} to buildx", partial(part_killed, word="buildx", number=number), 5)
    yield row(
        "SIGKILL to what measures",
        partial(measuring_killed, number=_KILL),
        14,
        says="killed",
        keeps=(FIRST, SECOND),
    )
    if engine == "venv":
        for number in (_KILL, _TERM, signal.SIGSEGV):
            yield row(
                f"{number.name} to the checks",
                partial(checks_killed, number=number),
                14,
                says=f"was killed by {number.name}",
                keeps=(FIRST,),
            )
        yield row("SIGKILL to uv while it installs", partial(part_killed, word="pip", number=_KILL), 5, says="SIGKILL")
