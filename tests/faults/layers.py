"""The layers of an image: their making and their sending are broken off, or their cache is, or two make the same."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.faults.judge import Fault
from tests.faults.lack import end_engine, engine_again
from tests.faults.stage import FIRST, Run, Stage, poll

_MAKING = "dlmatrix.engines.docker.assemble:write_layer"
_SENDING = "dlmatrix.engines.docker.engine:buildx"
#: A user that has nothing here.
_NOBODY = 65534


@contextlib.contextmanager
def new_layer(stage: Stage) -> Iterator[None]:
    """A wheel that no run has seen, locked: its layer is in no cache and on no engine."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    wheel = next((stage.folder / "wheels").glob("*-1.0.0-*.whl"))
    before = lock.read_text(), wheel.read_bytes()
    with zipfile.ZipFile(wheel, "a") as more:
        more.writestr("tiny/new.py", f"NEW = {secrets.token_hex()!r}\n")
    digests = (hashlib.sha256(one).hexdigest() for one in (before[1], wheel.read_bytes()))
    lock.write_text(before[0].replace(*digests))
    try:
        yield
    finally:
        lock.write_text(before[0])
        wheel.write_bytes(before[1])


def made(stage: Stage, number: int) -> Run:
    """A signal while the layers are made."""
    with new_layer(stage):
        run = _start(stage, _MAKING)
        run.process.send_signal(number)
        if number != signal.SIGKILL:  # a thread makes the layer, and is waited for
            stage.go_on()
        return run.finish()


def engine_lost(stage: Stage, number: int, *, sending: bool) -> Run:
    """The engine is killed or stopped while the layers are made, or while one is sent."""
    with engine_again(stage):
        if sending:
            return sent(stage, lambda _run: end_engine(number))
        with new_layer(stage):
            run = _start(stage, _MAKING)
            end_engine(number)
            stage.go_on()
            return run.finish()


def cache_gone(stage: Stage, pause: str) -> Run:
    """Somebody removes the cache's folder while layers are made, or sent."""
    with new_layer(stage):
        run = _start(stage, pause)
        shutil.rmtree(stage.folder / "cache" / "layers")
        stage.go_on()
        return run.finish()


def buildx_killed(stage: Stage) -> Run:
    """Kill buildx, and the docker command that started it, while it sends a layer."""

    def kill(_run: Run) -> None:
        for one in stage.processes():
            if b"buildx" in Path(f"/proc/{one}/cmdline").read_bytes():
                os.kill(one, signal.SIGKILL)

    return sent(stage, kill)


def sent(stage: Stage, break_off: Callable[[Run], object]) -> Run:
    """Something happens while buildx opens a layer to send it: for that moment it is kept waiting."""
    with new_layer(stage):
        run = _start(stage, _SENDING)
        with _held_up(_layer(stage)) as opened:
            stage.go_on()
            poll(opened)
            break_off(run)
        return run.finish()


@contextlib.contextmanager
def _held_up(file: Path) -> Iterator[Callable[[], bool]]:
    """Whoever opens a file waits for the end of the block; what this yields says whether somebody does.

    This is what leases are for: the kernel lets their holder finish first. It does so by a signal, which ends a process
    that has no use for it.
    """
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with file.open("rb") as stream:
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield lambda: fcntl.fcntl(stream, fcntl.F_GETLEASE) != fcntl.F_WRLCK
            fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        signal.signal(signal.SIGIO, before)


def _layer(stage: Stage) -> Path:
    """The newest layer of the cache, which a layout that is about to be sent has as a link."""
    return max((stage.folder / "cache" / "layers" / "blobs").iterdir(), key=lambda file: file.stat().st_mtime_ns)


def _start(stage: Stage, pause: str, **changes: str) -> Run:
    """A run that has come to a function, with a cache of uv's own: that knows a wheel by its name."""
    run = stage.start(pause=pause, UV_CACHE_DIR=str(stage.folder / f"uv-{stage.runs}"), **changes)
    stage.moment()
    return run


def anothers(stage: Stage) -> Run:
    """The cache's folder is another user's; root is made to obey modes, as everybody else does."""
    cache = stage.folder / "cache" / "layers"
    about = cache.stat()
    os.chown(cache, _NOBODY, _NOBODY)
    cache.chmod(0o755)
    powers = "-dac_override,-dac_read_search,-fowner"
    try:
        with new_layer(stage):
            downloads = str(stage.folder / f"uv-{stage.runs}")
            within = ("setpriv", "--bounding-set", powers, "--inh-caps", powers, "--")
            return stage.start(UV_CACHE_DIR=downloads, within=within).finish()
    finally:
        os.chown(cache, about.st_uid, about.st_gid)
        cache.chmod(about.st_mode)


def two_at_once(stage: Stage) -> Run:
    """Two checkouts make the same layer at the same moment, and both use the one cache."""
    folder = stage.folder / "second"
    with new_layer(stage):
        shutil.copytree(stage.root, folder / "checkout", ignore=shutil.ignore_patterns(".dlmatrix", "reports"))
        second = Stage(folder, stage.engine, stage.client, stage.environ)
        runs = [_start(one, _MAKING) for one in (stage, second)]
        for one in (stage, second):
            one.go_on()
        for run in runs:
            run.finish()
    first, other = runs
    first.text += other.text
    first.text += "".join(f"Traceback: left by the second: {what}\n" for what in second.left())
    first.code = other.code if first.code == 0 else first.code
    shutil.rmtree(folder)
    return first


def faults(engine: str) -> Iterator[Fault]:
    """All of them: only images have layers."""
    if engine != "docker":
        return

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        killed = number == signal.SIGKILL
        yield row(
            f"{number.name} to dlmatrix while the layers are made",
            partial(made, number=number),
            -9 if killed else 130,
            says="" if killed else "interrupted; ",
            killed=killed,
        )
        yield row(
            f"{number.name} to dlmatrix while a layer is sent",
            partial(sent, break_off=lambda run, number=number: run.process.send_signal(number)),
            -9 if killed else 130,
            says="" if killed else "interrupted; ",
            killed=killed,
        )
    yield row("SIGKILL to buildx while a layer is sent", buildx_killed, 5, says="SIGKILL")
    yield row("the layers' cache is removed while they are made", partial(cache_gone, pause=_MAKING), 5, says="layers")
    yield row(
        "the layers' cache is removed before they are sent", partial(cache_gone, pause=_SENDING), 0, keeps=(FIRST,)
    )
    yield row("the layers' cache is another user's", anothers, 9, says="DLMATRIX_CACHE_DIR")
    yield row("two checkouts make the same layer at once", two_at_once, 0, keeps=(FIRST,))
    for word, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)):
        for phase, sending in (("the layers are made", False), ("a layer is sent", True)):
            yield row(
                f"the engine is {word} while {phase}",
                partial(engine_lost, number=number, sending=sending),
                4,
                says="the Docker engine",
                killed=True,
                own_engine=True,
            )
