"""How verbs write to the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dlmatrix.errors import shown

if TYPE_CHECKING:
    from rich.console import Console

    from dlmatrix.system.console import ShowingConsole


def make_console(soft_wrap: bool = False, stderr: bool = False) -> ShowingConsole:
    """A console that shows text as it is, and, where no terminal says how wide it is, is wide enough for the tables."""
    from dlmatrix.system.console import ShowingConsole

    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return ShowingConsole(width=width, soft_wrap=soft_wrap, stderr=stderr, highlight=False, markup=False, emoji=False)


def tell(console: Console, line: str) -> None:
    """Print one line whole: on a terminal broken between words, what goes on indented; elsewhere as it is.

    What is to be typed next is left to the terminal, so that it can be copied in one piece. A line break in a text from
    elsewhere (a machine's name) is shown as its escape: what follows it would read as a line of ours.
    """
    from dlmatrix.system.console import wrapped

    line = line.replace("\n", "\\n")
    console.print(line if ": next: " in line else wrapped(console, line), soft_wrap=True)


def say(line: str) -> None:
    """Print a line now: what comes next may take long."""
    print(shown(line), flush=True)


def tell_changed(changed: bool, written: bool) -> int:
    """Say what became of changes; 1 where there are some that were not written."""
    if not changed:
        say("nothing changes")
        return 0
    say("written" if written else "not written: add --write")
    # A failure until it is written, so that a checkout can be held to its own files.
    return 0 if written else 1
