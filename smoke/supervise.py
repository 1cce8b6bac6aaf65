"""Run the child that imports the framework, and survive whatever it does.

Events come over a pipe of their own as JSON lines; stdout and stderr are the framework's
log.  The child leads a process group, which is killed at the deadline and at the end, so
that no worker of it is left.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from typing import Any, Callable

from smoke import cgroup

#: How many of the log's lines a document keeps.
TAIL = 200


class Outcome:
    """How the child ended (done, hang, killed or exited), what it said, and its log."""

    def __init__(self) -> None:
        self.ended = "exited"
        #: a number once the child has ended
        self.returncode: Any = None
        self.memory = False
        self.seconds = 0.0
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []


class _Lines:
    """Bytes in, whole lines out; what has no newline yet waits."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[str]:
        parts = (self.rest + data).split(b"\n")
        self.rest = parts.pop()
        return [part.decode("utf-8", "replace").rstrip("\r") for part in parts]

    def end(self) -> list[str]:
        return self.feed(b"\n") if self.rest else []


def environment(threads: int) -> dict[str, str]:
    """The child's environment: the same, with every thread pool set to the number that is recorded."""
    child = dict(os.environ)
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
        child[name + "_NUM_THREADS"] = str(threads)
    child["TF_NUM_INTRAOP_THREADS"] = str(threads)
    # OpenMP's waiting threads spin 300,000 times before they sleep (GCC's manual, GOMP_SPINCOUNT). Beside one
    # other busy process that costs PyTorch a quarter of its rate on two processors (training: 1,753 images/s
    # against 2,370 without any), and none at all costs a tenth on idle ones (3,871 against 4,420). With 1,000
    # it reaches 2,269 and 4,293.
    if "OMP_WAIT_POLICY" not in child:
        child.setdefault("GOMP_SPINCOUNT", "1000")
    # TensorFlow takes a GPU whole unless it is told not to, and a run has several processes on one: the checks, the one
    # that restores, the one that detection asks.
    child["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    child["PYTHONUNBUFFERED"] = "1"
    # The folder that holds this package, for a child started from elsewhere.
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    child["PYTHONPATH"] = os.pathsep.join(filter(None, [here, child.get("PYTHONPATH")]))
    return child


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent has ended, which a fork does not inherit."""
    try:
        import ctypes
    except ImportError:  # a Python that was built without libffi; the parent kills what it knows of
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def progress(line: str) -> None:
    """One line for the person who waits."""
    print("smoke: " + line, file=sys.stderr, flush=True)


def supervise(command: list[str], timeout: float, environ: dict[str, str], report: Callable[[str], object]) -> Outcome:
    """Run ``command`` + [event pipe's number] for at most ``timeout`` seconds; return the Outcome.

    ``report`` is called with one line per event.  Ctrl-C and SIGTERM end the child too.
    """
    outcome = Outcome()
    kills = cgroup.memory_kills()
    read_end, write_end = os.pipe()
    started = time.monotonic()
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        child: Any = subprocess.Popen(
            [*command, str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            pass_fds=(write_end,),
            start_new_session=True,
        )
        os.close(write_end)
        try:
            in_time = _listen(child, read_end, started + timeout, outcome, report)
        finally:
            _kill_group(child.pid)
            child.wait()
            child.stdout.close()
    finally:
        os.close(read_end)
        signal.signal(signal.SIGTERM, previous)
    outcome.seconds = time.monotonic() - started
    outcome.returncode = child.returncode
    if not in_time:
        outcome.ended = "hang"
    elif child.returncode < 0:
        outcome.ended = "killed"
        outcome.memory = (cgroup.memory_kills() or 0) > (kills or 0)
    elif child.returncode == 0 and any(event["event"] == "done" for event in outcome.events):
        outcome.ended = "done"
    return outcome


def _listen(
    child: Any,
    events: int,
    deadline: float,
    outcome: Outcome,
    report: Callable[[str], object],
) -> bool:
    """Read until the child has ended; False when the deadline came first."""
    streams = {events: _Lines(), child.stdout.fileno(): _Lines()}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            # A worker can outlive the child with the pipes open: ask, do not wait for EOF alone.
            ready = selector.select(min(left, 0.2))
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                lines = streams[key.fd].feed(data) if data else streams[key.fd].end()
                for line in lines:
                    _take(line, key.fd == events, outcome, report)
            if not ready and child.poll() is not None:
                return True
            if not selector.get_map():
                try:
                    child.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    return False
                return True


def _take(line: str, is_event: bool, outcome: Outcome, report: Callable[[str], object]) -> None:
    if not is_event:
        outcome.log.append(line)
        return
    try:
        event = json.loads(line)
    except ValueError:
        # The last line of a child that was killed while it wrote.
        return
    outcome.events.append(event)
    if event["event"] == "start":
        report("{} ...".format(event["id"]))
    elif event["event"] == "end":
        report(describe(event["check"]))


def describe(check: dict[str, Any]) -> str:
    """``<id> <outcome> <seconds>s <one line>``."""
    detail = check["reason"] or _short(check["found"])
    return "{id} {outcome} {seconds:.1f}s ".format(**check) + detail.split("\n")[0]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nothing of the group is left.
        return
