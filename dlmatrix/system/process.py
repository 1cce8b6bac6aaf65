"""Runs commands of this machine, line by line, and never leaves one behind."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from dlmatrix.system.bounded import LINE, Lines, Pieces

#: Receives one line of progress.
Say = Callable[[str], None]

#: Seconds that an interrupted command has to end by itself.
_GRACE = 5.0
#: Seconds after which whoever waits for threads looks for a signal: one that came in the moment before a wait, or to
#: another thread, ends none.
_LOOKS = 0.5
#: Ends what a thread waits for, by the signal that it is given or as is its way.
End = Callable[[int], None]
_running: set[End] = set()
#: Variables that every command is given beside its own, to be known by: dlmatrix/system/working.py.
marks: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A command that ended."""

    exit_code: int
    stdout: bytes
    #: everything it said on stderr
    said: str
    timed_out: bool


def run_lines(
    command: Sequence[str],
    *,
    say: Say,
    environ: Mapping[str, str],
    cwd: Path | None = None,
    timeout_seconds: float | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | None = None,
) -> Finished:
    """Run a command; hand every line of its stderr to ``say`` as it comes; keep its stdout, or let it go to a file.

    Of an stdout that has no end only so much is kept that it can be told (dlmatrix/system/bounded.py).

    The command is the leader of a process group of its own, which is ended as a whole after
    ``timeout_seconds``, on an interrupt, and on any error in ``say``. Raises FileNotFoundError
    where the program does not exist.
    """
    kept, said = Pieces(), Lines()
    expired = threading.Event()
    with contextlib.ExitStack() as stack:
        with signals_held():
            process = stack.enter_context(
                subprocess.Popen(
                    list(command),
                    stdin=stdin,
                    stdout=subprocess.PIPE if stdout is None else stdout,
                    stderr=subprocess.PIPE,
                    env={**environ, **marks},
                    cwd=cwd,
                    start_new_session=True,
                )
            )
            stack.enter_context(ended_by_interrupts(partial(_signal_group, process)))
            stack.callback(_end_group, process)
        err = cast(IO[bytes], process.stderr)
        reader = threading.Thread(target=_collect, args=(process.stdout or io.BytesIO(), kept), daemon=True)
        reader.start()
        threading.Thread(target=_reap, args=(process,), daemon=True).start()
        if timeout_seconds:
            timer = threading.Timer(timeout_seconds, _expire, (process, expired))
            timer.daemon = True
            stack.callback(timer.cancel)
            timer.start()
        for raw in iter(lambda: err.readline(LINE), b""):
            line = raw.decode("utf-8", "replace").rstrip("\n")
            said.append(line)
            say(line)
        exit_code = process.wait()
        reader.join()
    return Finished(exit_code=exit_code, stdout=kept.whole(), said="\n".join(said), timed_out=expired.is_set())


def _collect(out: IO[bytes], kept: Pieces) -> None:
    """Keep what comes; where an interrupt closes the pipe meanwhile, nobody asks for it any more."""
    with contextlib.suppress(ValueError, OSError):
        for piece in iter(lambda: out.read(65536), b""):
            kept.append(piece)


def in_threads(jobs: Sequence[Callable[[], None]], at_once: int, stopping: Callable[[], object] = lambda: None) -> None:
    """Do jobs, so many at once; an interrupt ends what they wait for, and waits for the jobs to see it.

    ``stopping`` is called before: errors of jobs that come after it may be the interrupt's own. Only the main thread
    is interrupted, so a job that is alone is done in it.
    """
    if at_once == 1 or len(jobs) == 1:
        for job in jobs:
            job()
        return
    with futures.ThreadPoolExecutor(at_once) as pool:
        begun: list[futures.Future[None]] = []
        try:
            with signals_held():  # a job that is not yet known by name could not be ended
                begun += [pool.submit(job) for job in jobs]
            for one in begun:
                while not one.done():
                    futures.wait([one], timeout=_LOOKS)
                one.result()
        except BaseException:
            stopping()
            pool.shutdown(wait=False, cancel_futures=True)
            # Again and again: a job may have been just about to start a command, which may ignore an interrupt.
            number = signal.SIGINT
            while left := [one for one in begun if not one.done()]:
                for end in list(_running):
                    end(number)
                futures.wait(left, timeout=_GRACE)
                number = signal.SIGKILL
            raise


@contextlib.contextmanager
def ended_by_interrupts(end: End) -> Iterator[None]:
    """While the block waits in a thread, which no interrupt reaches, ``end`` is how one ends what it waits for."""
    _running.add(end)
    try:
        yield
    finally:
        _running.discard(end)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let a signal that would end the program wait for the end of the block.

    For the moments in which it would lose something: a process between its start and the name we
    keep it by, a container that is being removed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handled = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if callable(signal.getsignal(n))]
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _expire(process: subprocess.Popen[bytes], expired: threading.Event) -> None:
    expired.set()
    _signal_group(process, signal.SIGKILL)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Once the command has ended, end what it left: a child with our pipes open would keep us reading."""
    process.wait()
    _end_rest(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            _signal_group(process, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
    finally:  # also on a second interrupt
        _signal_group(process, signal.SIGKILL)
        process.wait()
        _end_rest(process)


def _end_rest(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the group of a command that ended; where a signal ended it, of its whole session.

    A helper of its own may have left the group, and now nobody ends it: Apptainer's file system, a shell's jobs.
    """
    _signal_group(process, signal.SIGKILL)
    if process.returncode < 0:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # After the name, in brackets, which may hold anything: state, parent, group, session.
                if stat.read_bytes().rpartition(b")")[2].split()[3] == str(process.pid).encode():
                    os.kill(int(stat.parent.name), signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
