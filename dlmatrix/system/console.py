"""What a person sees while something runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from dlmatrix.errors import shown

_COLOURS = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}
#: The long step that a line of this kind is told in.
_LONG = {"building": "build", "check": "run"}
_BAR = 20

#: The seconds that a step (build, run) of an env is likely to take, or None where nothing tells.
Expected = Callable[[str, str], float | None]


class ShowingConsole(Console):
    """A console that shows what it is given, whoever wrote it: nothing in a text reaches the terminal as a command."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As of Console; its own commands to the terminal, such as those of a live display, are left as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)


@dataclass
class _UnderWay:
    """A long step of an env: when it began, and what it said last."""

    step: str
    since: float
    text: str


class Progress:
    """A line for each step; on a terminal also a last line for each env that is under way.

    Where there is no terminal, checks that passed are not told one by one: the report has them.
    Lines may come from several threads, since several envs are built at once.
    """

    def __init__(
        self, console: Console, expected: Expected = lambda env, step: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._expected, self._clock = console, expected, clock
        self._started = clock()
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, transient=True, refresh_per_second=4, get_renderable=self.last_lines)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def tell(self, env: str, step: str, text: str) -> None:
        """Show one line; ``building`` lines, of which there are hundreds, and starts of checks pass by."""
        self._note(env, _LONG.get(step, ""), text.strip())
        words = text.split()
        if step == "building" or words[1:2] == ["..."]:
            return
        if not self._live and step == "check" and words[1:2] == ["passed"]:
            return
        line = Text().append(f"{self._clock() - self._started:6.1f} s  {env}  ", style="dim")
        line.append(f"{step:<8}", style=_COLOURS.get(step, "bold"))
        for word in text.split(" "):
            line.append(f" {word}", style=_COLOURS.get(word, ""))
        self._console.print(line, soft_wrap=True, highlight=False)

    def last_lines(self) -> Text:
        """Each step under way: how long it has taken, how long it is likely to take, and what it said last."""
        with self._lock:
            under_way = dict(self._under_way)
        shown = Text(no_wrap=True, overflow="ellipsis")
        for env, now in under_way.items():
            passed, expected = self._clock() - now.since, self._expected(env, now.step)
            shown.append(f"{env}  ", style="bold").append(f"{now.step} {_minutes(passed)}")
            if expected:
                full = min(_BAR, int(_BAR * passed / expected))
                shown.append(f" of about {_minutes(expected)} ")
                shown.append("█" * full + "░" * (_BAR - full), style="cyan")
            shown.append(f"  {now.text}\n", style="dim")
        shown.rstrip()
        return shown

    def _note(self, env: str, step: str, text: str) -> None:
        with self._lock:
            if not step:  # planned, built, or at its end
                self._under_way.pop(env, None)
            elif env in self._under_way and self._under_way[env].step == step:
                self._under_way[env].text = text
            else:
                self._under_way[env] = _UnderWay(step, self._clock(), text)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
