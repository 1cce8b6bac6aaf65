"""Start the programs that distributions bring, side by side, and tell which of them cannot even say what they are for.

Each runs in a fork of this process, made before the framework has computed anything: to the program that is a fresh
interpreter, without the seconds of the framework's import, which most of TensorFlow's would take.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

from smoke import blame, guides, supervise

#: Seconds for all of them.
LIMIT = 60.0
#: How a fork ends that could not load its program, or whose program ended for want of something.
_NOT_LOADED, _LACKING = 90, 91
#: What a program raises that lacks a part or was written for another version of one; one that is only asked in a way
#: that it does not know raises others, or exits.
_LACKS = (ImportError, AttributeError, NameError, SyntaxError)


def start(programs: dict[str, str], folder: str, limit: float = LIMIT) -> tuple[dict[str, str], list[str]]:
    """({program: what went wrong}, the programs that had not answered in time) of {program: module:function}.

    Each is asked for ``--help`` in ``folder``. What it raised is the last line of what it said.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    forks: dict[str, tuple[int, int]] = {}
    for name, target in sorted(programs.items()):
        end, said = os.pipe()
        child = os.fork()
        if child == 0:
            _become(name, target, folder, said)
        os.close(said)
        forks[name] = (child, end)
    texts, in_time = guides.read([end for _, end in forks.values()], time.monotonic() + limit)
    wrong, late = {}, []
    for (name, (child, _)), text in zip(forks.items(), texts):
        if not in_time:
            os.kill(child, signal.SIGKILL)  # of no effect on those that have ended
        _, status = os.waitpid(child, 0)
        if not in_time and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            late.append(name)
            continue
        problem = _problem(status, [line for line in text.splitlines() if line.strip()])
        if problem:
            wrong[name] = problem
    return wrong, late


def _problem(status: int, lines: list[str]) -> str:
    last = lines[-1] if lines else "it said nothing"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"killed by {signal.Signals(number).name}; last line: {last}"
    return last if os.WEXITSTATUS(status) in (_NOT_LOADED, _LACKING) else ""


def _become(name: str, target: str, folder: str, said: int) -> NoReturn:
    """Be the program, with ``said`` as its output, and never return."""
    code = _NOT_LOADED
    try:
        supervise.die_with_parent()
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        sys.argv = [name, "--help"]
        module, _, function = target.partition(":")
        loaded: Any = functools.reduce(getattr, function.split("."), importlib.import_module(module))
        code = _LACKING
        loaded()
        code = 0
    except SystemExit:
        code = 0
    except _LACKS as problem:
        traceback.print_exc()
        print(blame.cause(problem), flush=True)
    except BaseException as problem:
        code = 0 if code == _LACKING else code
        traceback.print_exc()
        print(blame.cause(problem), flush=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
