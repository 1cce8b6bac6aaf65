"""The programs with which installation guides verify an installation, run as written.

Each program runs in a fork of this process, made before the framework has computed
anything: to the program that is a fresh interpreter, without the seconds of an import.
"""

from __future__ import annotations

import os
import re
import runpy
import selectors
import signal
import sys
import time
from typing import NoReturn

from smoke import gpu
from smoke.context import Context, Result, failed, passed

FOLDER = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 60.0


def run(program: str, timeout: float = TIMEOUT) -> tuple[int | None, str, str]:
    """(exit code, stdout, last line of stderr) of smoke/guides/<program>.py; exit code None when it hangs."""
    path = os.path.join(FOLDER, program + ".py")
    ends = [os.pipe(), os.pipe()]
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _become(path, [write for _, write in ends])
    for _, write in ends:
        os.close(write)
    texts, in_time = read([read for read, _ in ends], time.monotonic() + timeout)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = (os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)) if in_time else None
    last = [line for line in texts[1].splitlines() if line.strip()]
    return code, texts[0], last[-1] if last else ""


def _become(path: str, outputs: list[int]) -> NoReturn:
    """Run the program with these file descriptors as its stdout and stderr, and never return."""
    code = 1
    try:
        for number, output in zip((1, 2), outputs):
            os.dup2(output, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        runpy.run_path(path, run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def read(streams: list[int], deadline: float) -> tuple[list[str], bool]:
    """What each stream gave, and whether all ended before the deadline."""
    data = dict.fromkeys(streams, b"")
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                part = os.read(key.fd, 65536)
                data[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
        in_time = not selector.get_map()
    for stream in streams:
        os.close(stream)
    return [data[stream].decode("utf-8", "replace") for stream in streams], in_time


def judge(context: Context, program: str, expected: str) -> Result:
    """A program that must run as the guide writes it, and print ``expected`` (commas between digits do not count)."""
    # Imported here once, every fork has it for nothing.
    versions = context.backend.versions()
    code, text, last = run(program)
    # Keras 2.15 prints 225034 where every other version prints 225,034.
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    if code != 0:
        gpu.refuse_without_room(context, last)
    if code != 0 or expected not in text:
        reason = "the guide's program does not do what the guide promises: exit {}, {}"
        return failed(reason.format("none (hangs)" if code is None else code, last), expected, text or last)
    lines = [line for line in text.splitlines() if expected in line]
    return passed({"as written": "\n".join(lines) or text.strip()}, expected, versions=versions)


def judge_forms(context: Context, program: str, expected: str, breaks: str) -> Result:
    """A program of TensorFlow 1, where it runs as written; since 2.0 it ``breaks``, and its working form runs."""
    if context.backend.versions()["tensorflow"].startswith("1."):
        return judge(context, program, expected)
    code, _, last = run(program)
    if code == 0 or breaks not in last:
        return failed(
            "since 2.0 the guide's form is known to break with this message, and it does not: correct what is known",
            breaks,
            last or "exit 0",
        )
    working = judge(context, program + "_working", expected)
    if working.outcome != "passed":
        return working
    found = {"as written": "fails, as expected since 2.0: " + last, "working form": working.found["as written"]}
    return passed(found, expected, program=program + "_working.py")
