"""A command is followed line by line, and neither it nor its children are ever left behind."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

from dlmatrix.system import process
from dlmatrix.system.process import run_lines

#: Seconds after which a test that waits for an event has failed; none waits for the time itself.
GUARD = 30

pytestmark = pytest.mark.timeout(2 * GUARD)

#: Says its own and its child's id, and ends only by a signal that cannot be ignored.
STUBBORN = 'trap "" INT TERM; cat fifo & echo $$ $! >&2; cat fifo'


class Watch:
    """Notes the processes whose ids a line names; ``gone`` waits for the kernel to say that they ended."""

    def __init__(self) -> None:
        self.handles: list[int] = []

    def see(self, line: str) -> None:
        self.handles += [os.pidfd_open(int(word)) for word in line.split()]

    def gone(self) -> bool:
        ended = [bool(select.select([handle], [], [], GUARD)[0]) for handle in self.handles]
        return bool(ended) and all(ended)


@pytest.fixture
def watch() -> Iterator[Watch]:
    watching = Watch()
    yield watching
    for handle in watching.handles:
        os.close(handle)


@pytest.fixture(autouse=True)
def fifo(tmp_path: Path) -> Path:
    """Whoever opens it waits for somebody to open its other end."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def sh(body: str, folder: Path, say: Callable[[str], None], **options: Any) -> process.Finished:
    return run_lines(["/bin/sh", "-c", body], say=say, environ={"PATH": os.environ["PATH"]}, cwd=folder, **options)


def test_lines_come_as_they_are_written(tmp_path: Path, fifo: Path) -> None:
    seen: list[str] = []

    def answer(line: str) -> None:
        seen.append(line)
        if line == "first":  # the command goes on only now: a line that came late would never come
            fifo.write_text("go\n")

    done = sh("echo first >&2; read word < fifo; echo $word >&2; printf 'no newline' >&2", tmp_path, answer)
    assert seen == ["first", "go", "no newline"]
    assert done.said == "first\ngo\nno newline"


def test_stdout_is_kept_apart_byte_for_byte_however_much_it_is(tmp_path: Path) -> None:
    seen: list[str] = []
    done = sh("printf 'a\\377'; head -c 200000 /dev/zero; echo '\\377' >&2; exit 7", tmp_path, seen.append)
    assert done.stdout == b"a\xff" + bytes(200000)
    assert (done.exit_code, done.timed_out) == (7, False)
    assert len(seen) == 1


def test_a_signal_shows_in_the_exit_code(tmp_path: Path) -> None:
    assert sh("kill -SEGV $$", tmp_path, print).exit_code == -signal.SIGSEGV


def test_only_the_environment_given_is_there_and_no_input(tmp_path: Path) -> None:
    done = run_lines(["/usr/bin/env"], say=print, environ={"ONLY": "this"})
    assert done.stdout == b"ONLY=this\n"
    assert sh("cat", tmp_path, print).stdout == b""


def test_a_missing_program_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        run_lines(["/no/such/program"], say=print, environ={})


def test_a_timeout_ends_the_whole_group(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    class HandTimer:
        """A timer that goes off when the test says so."""

        def __init__(self, seconds: float, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
            assert seconds == 600
            self.fire = lambda: function(*arguments)
            self.daemon = False
            timers.append(self)

        def start(self) -> None:
            pass

        def cancel(self) -> None:
            pass

    timers: list[HandTimer] = []
    monkeypatch.setattr(threading, "Timer", HandTimer)

    def say(line: str) -> None:
        watch.see(line)
        timers[0].fire()

    done = sh(STUBBORN, tmp_path, say, timeout_seconds=600)
    assert done.timed_out
    assert done.exit_code == -signal.SIGKILL
    assert watch.gone()


def test_a_real_timeout_ends_a_command_that_says_nothing(tmp_path: Path) -> None:
    assert sh("cat fifo", tmp_path, print, timeout_seconds=0.05).timed_out


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_leaves_nothing_even_of_a_stubborn_command(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.01)

    def interrupt(line: str) -> None:
        watch.see(line)
        raise error

    with pytest.raises(error):
        sh(STUBBORN, tmp_path, interrupt)
    assert watch.gone()


def test_a_helper_in_a_group_of_its_own_is_ended_too(tmp_path: Path, watch: Watch) -> None:
    """Of Apptainer that was killed its file system lived on, a process of the same session and another group."""

    def stop(line: str) -> None:
        watch.see(line)
        os.kill(int(line.split(maxsplit=1)[0]), signal.SIGKILL)

    body = "set -m; cat fifo & echo $$ $! >&2; cat fifo"
    done = run_lines(["/bin/bash", "-c", body], say=stop, environ={"PATH": os.environ["PATH"]}, cwd=tmp_path)
    assert done.exit_code == -signal.SIGKILL
    assert watch.gone()


def test_an_interrupted_command_may_clean_up(tmp_path: Path) -> None:
    program = (
        "import pathlib, signal, sys\n"
        "def end(*_):\n    pathlib.Path('cleaned').touch()\n    sys.exit(1)\n"
        "signal.signal(signal.SIGINT, end)\nprint('ready', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lines([sys.executable, "-c", program], say=interrupt, environ={}, cwd=tmp_path)
    assert (tmp_path / "cleaned").exists()


def test_a_second_interrupt_during_the_grace_leaves_nothing(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_wait = process.subprocess.Popen.wait

    def wait(self: Any, timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return really_wait(self)

    monkeypatch.setattr(process.subprocess.Popen, "wait", wait)

    def interrupt(line: str) -> None:
        watch.see(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sh(STUBBORN, tmp_path, interrupt)
    assert watch.gone()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_the_command_starts_leaves_nothing(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    class Interrupted(process.subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            watch.see(str(self.pid))
            signal.raise_signal(number)

    monkeypatch.setattr(process.subprocess, "Popen", Interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            sh("cat fifo", tmp_path, print)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert watch.gone()


def test_a_command_of_another_thread_is_followed_too(tmp_path: Path) -> None:
    done: list[process.Finished] = []
    thread = threading.Thread(target=lambda: done.append(sh("exit 4", tmp_path, print)))
    thread.start()
    thread.join()
    assert [each.exit_code for each in done] == [4]


def test_a_child_that_outlives_its_parent_keeps_nobody_waiting(tmp_path: Path, watch: Watch) -> None:
    done = sh("cat fifo & echo $! >&2; echo kept; exit 3", tmp_path, watch.see)
    assert (done.exit_code, done.stdout, done.timed_out) == (3, b"kept\n", False)
    assert watch.gone()


def test_an_interrupt_ends_the_commands_of_every_thread_and_starts_no_more(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.1)
    more: list[str] = []
    begun = threading.Event()

    def first(line: str) -> None:
        watch.see(line)
        begun.set()

    def interrupted(line: str) -> None:
        watch.see(line)
        assert begun.wait(GUARD)
        os.kill(os.getpid(), signal.SIGINT)

    jobs = [
        lambda: cast(None, sh(STUBBORN, tmp_path, first)),
        lambda: cast(None, sh("echo $$ >&2; cat fifo", tmp_path, interrupted)),
        lambda: more.append("started"),
    ]
    with pytest.raises(KeyboardInterrupt):
        process.in_threads(jobs, 2)
    assert watch.gone()
    assert len(watch.handles) == 3
    assert more == []


def test_an_interrupt_ends_what_a_thread_waits_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is no process of this machine."""
    monkeypatch.setattr(process, "_GRACE", 0.1)
    waiting, ended = threading.Event(), threading.Event()

    def wait() -> None:
        with process.ended_by_interrupts(lambda number: ended.set()):
            waiting.set()
            assert ended.wait(GUARD)

    def interrupt() -> None:
        assert waiting.wait(GUARD)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        process.in_threads([wait, interrupt], 2)
    assert ended.is_set()


def test_an_interrupt_that_does_not_end_the_wait_is_seen_all_the_same() -> None:
    """One that came in the moment before the wait, or to another thread: the system wakes nobody for it."""
    ended, here = threading.Event(), threading.Event()
    main = threading.get_ident()

    def waits(frame: FrameType) -> bool:
        """For a job, and not for the start of a thread."""
        names = [one.f_code.co_name for one, _ in traceback.walk_stack(frame)]
        return names[0] == "wait" and "submit" not in names

    def wait() -> None:
        with process.ended_by_interrupts(lambda number: ended.set()):
            here.set()
            assert ended.wait(GUARD)

    def interrupt() -> None:
        assert here.wait(GUARD)
        while not waits(sys._current_frames()[main]):
            os.sched_yield()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        assert ended.wait(GUARD)

    with pytest.raises(KeyboardInterrupt):
        process.in_threads([wait, interrupt], 2)
    assert ended.is_set()


def test_a_job_s_own_error_comes_out() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        process.in_threads([broken, lambda: None], 2)


def test_a_pipe_that_is_closed_while_it_is_read_is_no_error(tmp_path: Path) -> None:
    class Closing:
        def read(self, size: int) -> bytes:
            raise ValueError("read of closed file")

    kept: list[bytes] = []
    process._collect(Closing(), kept)  # type: ignore[arg-type]
    assert kept == []
