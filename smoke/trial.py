"""One step of training in a process of its own, with what is set around it and without: which setting breaks it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Callable, Iterable, Mapping

_EXCEPTION = re.compile(r"[\w.]+(Error|Exception|Interrupt|Exit):")
#: A step as Python starts it without the modules that run before any program: sitecustomize and usercustomize.
_BARE = (
    "import runpy, sys, types; "
    "[sys.modules.setdefault(name, types.ModuleType(name)) for name in ('sitecustomize', 'usercustomize')]; "
    "import site; site.main(); runpy.run_module('smoke.step', run_name='__main__', alter_sys=True)"
)


def step(framework: str, environ: Mapping[str, str], limit: float, bare: bool = False) -> tuple[str, str]:
    """(what it says when it fails, "" when it does not; all that it said). ``limit`` in seconds."""
    program = ["-S", "-c", _BARE] if bare else ["-m", "smoke.step"]
    try:
        done = subprocess.run(
            [sys.executable, *program, framework],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environ,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {limit:g} s", ""
    text = done.stdout.decode("utf-8", "replace")
    ended = f"killed by signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    return ("", text) if done.returncode == 0 else ((_last(text) or ended)[:300], text)


def _last(text: str) -> str:
    """The line that says what went wrong: the last that names an exception, with the next where it says no more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [index for index, line in enumerate(lines) if _EXCEPTION.match(line)]
    told = lines[named[-1] :] if named else lines[-1:]
    return " ".join(told[:2] if told and told[0].endswith(":") else told[:1])


def guilty(names: Iterable[str], search: float, most: float, tried: Callable[[str, float], str]) -> list[str]:
    """Those names without which ``tried(name, limit)`` says nothing; ``search`` seconds for all, ``most`` for one.

    A setting that hangs would else use up the caller's own limit.
    """
    names = sorted(names)
    share = min(most, search / max(1, len(names)))
    return [name for name in names if not tried(name, share)]
