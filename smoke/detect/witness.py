"""Ask each witness in a process of its own, so that a driver that hangs or crashes cannot take the caller with it.

The child streams one JSON line per fact and per call it is about to make: what it learnt before it hung is kept, and
the call it hung in is named.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

from .tree import clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, TextIO

NAMES = ("kernel", "nvml", "cuda", "framework")
_LOG_LINES = 80
_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Notes:
    """What a witness says: facts by key, and the call it is about to make."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.facts: dict[str, Any] = {}
        self._stream = stream

    def put(self, key: str, value: Any) -> None:
        """A fact; a later one of the same key replaces it."""
        self.facts[key] = value
        self._send({"key": key, "value": value})

    def calling(self, name: str) -> None:
        """The call about to be made, which is named should it never come back."""
        self._send({"calling": name})

    def _send(self, event: dict[str, Any]) -> None:
        if self._stream is not None:
            self._stream.write(json.dumps(event) + "\n")
            self._stream.flush()


class Inquiry:
    """One witness at work in a child process; `answer` waits for it until the deadline and no longer."""

    def __init__(self, name: str, root: str, framework: str | None, limit: float) -> None:
        self.limit = limit
        self.started = time.monotonic()
        self.facts: dict[str, Any] = {}
        self.calling: str | None = None
        self.log: list[str] = []
        # Only the others import installed packages; without site a child starts in half the time.
        options = ["-S"] if name in ("kernel", "cuda") else []
        command = [sys.executable, *options, "-m", "smoke.detect.child", name, "--root", root]
        command += ["--framework", framework] if framework else []
        path = os.pathsep.join(p for p in (_PACKAGE_PARENT, os.environ.get("PYTHONPATH")) if p)
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=path),
            start_new_session=True,
        )
        self.readers = [
            threading.Thread(target=self._read, args=(self.child.stdout, self._event), daemon=True),
            threading.Thread(target=self._read, args=(self.child.stderr, self._log), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream: BinaryIO, take: Callable[[bytes], None]) -> None:
        with stream:
            for line in iter(stream.readline, b""):
                take(line)

    def _event(self, line: bytes) -> None:
        try:
            event = json.loads(line.decode("utf-8"))
        except ValueError:  # the last line of a child that was killed while writing
            return
        if "key" in event:
            self.facts[event["key"]] = event["value"]
        else:
            self.calling = event.get("calling")

    def _log(self, line: bytes) -> None:
        self.log.append(clip(line, 2000))
        del self.log[:-_LOG_LINES]

    def answer(self) -> dict[str, Any]:
        """The facts, "messages", and "witness": {"status": ok|hang|crash|error, "detail", "calling", "seconds",
        "pid"}.
        """
        status, detail = "ok", None
        try:
            code = self.child.wait(max(0.0, self.limit - (time.monotonic() - self.started)))
        except subprocess.TimeoutExpired:
            status, detail = "hang", f"no answer after {self.limit:g} s"
            self._kill()
        else:
            if code < 0:
                status, detail = "crash", f"died with signal {-code} ({_signal_name(-code)})"
            elif code:
                status, detail = "error", f"ended with exit code {code}"
        for reader in self.readers:
            reader.join(1.0)
        facts = dict(self.facts)
        facts["messages"] = [line for line in list(self.log) if line]
        facts["witness"] = {
            "status": status,
            "detail": detail if status == "ok" or not self.calling else f"{detail} in {self.calling}",
            "calling": None if status == "ok" else self.calling,
            "seconds": round(time.monotonic() - self.started, 3),
            "pid": self.child.pid,
        }
        return facts

    def _kill(self) -> None:
        # A process in uninterruptible sleep (a wedged driver) does not die: it is left behind rather than waited for.
        with contextlib.suppress(OSError):
            os.killpg(self.child.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(1.0)


def testimony(root: str, framework: str | None) -> dict[str, Any]:
    """What an Inquiry into the framework answers, from this process."""
    from . import framework as observer

    started, notes = time.monotonic(), Notes()
    with warnings.catch_warnings():
        observer.observe(notes, root, framework)
    seconds = round(time.monotonic() - started, 3)
    witness = {"status": "ok", "detail": None, "calling": None, "seconds": seconds, "pid": os.getpid()}
    return dict(notes.facts, messages=[], witness=witness)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
