"""What is seen while a fleet is under way: each machine's step, and what is waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import AGAIN, states
from dlmatrix.system.console import HEARTBEAT, ShowingConsole

_COLOURS = {"passed": "green", "skipped": "yellow"}
#: What a machine does at a step of its own, in words.
_STEPS = {
    "reach": "being reached",
    "copy": "getting what it lacks",
    "unpack": "unpacking it",
    "start": "starting the checks",
    "wait": "checking",
    AGAIN: "being tried once more",
}
#: Machines that a terminal shows at once; the others are counted.
_SHOWN = 24


class Watching:
    """A line for each answer; on a terminal also a table of the machines that are waited for, else a line a minute."""

    def __init__(self, console: ShowingConsole, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._started = self._told = clock()
        self._fleet: Fleet | None = None
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, transient=True, refresh_per_second=2, get_renderable=self.table)

    def __enter__(self) -> Watching:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, fleet: Fleet, changed: Mapping[str, Row]) -> None:
        """Tell the machines that have an answer now; and, where there is no terminal, once a minute what goes on."""
        self._fleet = fleet
        for row in changed.values():
            if not row.meaning.moving:
                line = Text().append(f"{self._clock() - self._started:6.1f} s  {row.name}  ", style="dim")
                line.append(row.state, style=_COLOURS.get(row.state, "red"))
                self._console.print(line.append(f"  {row.reason}" if row.reason else ""), soft_wrap=True)
        if not self._live and self._clock() - self._told >= HEARTBEAT:
            self._told = self._clock()
            self._console.print(f"{self._clock() - self._started:6.1f} s  {waited_for(fleet)}", soft_wrap=True)

    def table(self) -> Table | Text:
        """The machines that are waited for, with their steps."""
        if self._fleet is None:
            return Text("reading what there is to do")
        moving = [row for row in self._fleet.machines if row.meaning.moving]
        shown = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for row in moving[:_SHOWN]:
            shown.add_row(Text(row.name, style="bold"), Text(step(row), overflow="ellipsis", no_wrap=True))
        shown.add_row(f"{self._clock() - self._started:.0f} s", Text(waited_for(self._fleet), style="dim"))
        return shown


def step(row: Row) -> str:
    """What a machine is at, in words."""
    return _STEPS.get(row.step, row.step or "waiting")


def waited_for(fleet: Fleet) -> str:
    """``waiting for 3 of 30 machines; 26 passed, 1 unreachable``."""
    found = Counter(row.state for row in fleet.machines)
    moving = sum(number for name, number in found.items() if states()[name].moving)
    told = ", ".join(f"{found[name]} {name}" for name in states() if found[name] and not states()[name].moving)
    return f"waiting for {moving} of {len(fleet.machines)} machines" + (f"; {told}" if told else "")
