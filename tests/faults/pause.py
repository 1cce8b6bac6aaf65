"""Runs dlmatrix, and stops before or after one of its functions, for the fault to happen at that moment.

``python -m tests.faults.pause MODULE:NAME before|after READY GO ARGUMENTS…``: READY and GO are named pipes; whoever
reads READY knows that the moment has come, and whoever opens GO lets it go on.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from dlmatrix.__main__ import main


def paused(where: str, when: str, ready: str, go: str) -> None:
    """Replace the function by one that waits, the first time that it is called."""
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *owners, name = path.split(".")
    for one in owners:
        owner = getattr(owner, one)
    really = getattr(owner, name)
    came: list[None] = []

    def wait() -> None:
        if not came:
            came.append(None)
            Path(ready).write_text("ready")
            Path(go).read_text()

    def instead(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            wait()
            return really(*arguments, **options)
        found = really(*arguments, **options)
        wait()
        return found

    setattr(owner, name, instead)


if __name__ == "__main__":
    paused(*sys.argv[1:5])
    sys.exit(main(sys.argv[5:]))
