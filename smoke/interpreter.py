"""A process of its own for work whose settings, or whose GPU, must not be the other checks'."""

from __future__ import annotations

import subprocess
import sys

from smoke import gpu, supervise
from smoke.context import Context


class Interpreter:
    """``python -m MODULE FRAMEWORK THREADS FOLDER``, which imports everything anew."""

    def __init__(self, context: Context, module: str) -> None:
        self._command = [sys.executable, "-m", module, context.framework, str(context.threads)]
        self._environ = supervise.environment(context.threads)
        self._context = context

    def run(self, folder: str) -> str:
        """Let it work in ``folder``; "" when it came to its end, else how it ended. What it says is in the log.

        NoRoomError on a GPU that others fill.
        """
        done = subprocess.run(
            [*self._command, folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
            check=False,
        )
        text = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            gpu.refuse_without_room(self._context, text)
        print(text, end="", flush=True)
        last = text.strip().splitlines()[-1:] or [""]
        return f"exit {done.returncode}, {last[0]}" if done.returncode else ""
