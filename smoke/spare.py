"""A process that has what this one had imported, and has computed nothing: a fork made early, which waits for its work.

To what it then runs it is a fresh process, without the seconds of an import. Only for a CPU: a GPU's driver, once
asked, does not survive a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any, Callable, NoReturn

from smoke import supervise


class Spare:
    """One fork; ``work(*arguments)`` is what ``run`` lets it do, once."""

    def __init__(self, work: Callable[..., object]) -> None:
        orders, self._orders = os.pipe()
        self._answer, answer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._orders)
            os.close(self._answer)
            _serve(work, orders, answer)
        os.close(orders)
        os.close(answer)

    def run(self, *arguments: Any) -> str:
        """Let it work with these arguments (JSON's types); "" when it came to its end, else how it ended."""
        with os.fdopen(self._orders, "w") as stream:
            stream.write(json.dumps(arguments) + "\n")
        with os.fdopen(self._answer) as stream:
            answer = stream.read()
        _, status = os.waitpid(self._child, 0)
        if os.WIFSIGNALED(status):
            return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
        return answer if os.WEXITSTATUS(status) else ""


def _serve(work: Callable[..., object], orders: int, answer: int) -> NoReturn:
    """Wait for a line, do the work, never return. What goes wrong is told in one line, and whole in the log."""
    code = 1
    try:
        supervise.die_with_parent()
        with os.fdopen(orders) as stream:
            line = stream.readline()
        if line:
            work(*json.loads(line))
        code = 0
    except BaseException as problem:
        traceback.print_exc()
        first = str(problem).strip().split("\n")[0][:300]
        os.write(answer, f"{type(problem).__name__}: {first}".encode("utf-8", "replace"))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
