"""What a person sees while something runs."""

from __future__ import annotations

import errno
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from dlmatrix.errors import DiskFullError, shown

_COLOURS = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}
#: The long step that a line of this kind is told in.
_LONG = {"building": "build", "check": "run"}
_BAR = 20
_INDENT = " " * 10
#: Characters of what was said last in a line of the heartbeat.
_LAST = 60

#: Seconds between two lines about an env under way, where there is no terminal with a last line for it.
HEARTBEAT = 60.0
#: A check's own line: its name, how it ended, the seconds, and a detail; smoke/supervise.py writes it.
_CHECK = re.compile(
    r"(?P<id>\S+) (?P<outcome>passed|failed|error|skipped) (?P<seconds>[\d.]+)s ?(?P<detail>.*)", re.DOTALL
)
#: A number with more digits than anybody reads, of a version or a date nothing.
_DIGITS = re.compile(r"(?<![\w.])-?\d+\.\d{5,}(?:e[+-]?\d+)?(?![\w.])")

#: The seconds that a step (build, run) of an env is likely to take, or None where nothing tells.
Expected = Callable[[str, str], float | None]
#: What a check means in plain words; empty where nothing tells.
Meaning = Callable[[str], str]


class ShowingConsole(Console):
    """A console that shows what it is given, whoever wrote it: nothing in a text reaches the terminal as a command.

    What goes to a file that has no room any more is lost, and not what is being run: ``was_heard`` tells.
    """

    _lost: OSError | None = None

    def print(self, *objects: Any, **options: Any) -> None:
        """As of Console."""
        try:
            super().print(*objects, **options)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._lost = error

    def was_heard(self, otherwise: str) -> None:
        """Raise DiskFullError where something was lost; ``otherwise`` is what helps then."""
        if self._lost:
            raise DiskFullError(f"the output could not be written: {self._lost.strerror}", f"make room; {otherwise}")

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

    Where there is no terminal, checks that passed are not told one by one: the report has them; and every minute a
    line says what is under way. Lines may come from several threads, since several envs are built at once.
    """

    def __init__(
        self,
        console: Console,
        expected: Expected = lambda env, step: None,
        meaning: Meaning = lambda check: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._expected, self._meaning, self._clock = console, expected, meaning, clock
        self._started = clock()
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat_on, daemon=True)
        if console.is_terminal:
            self._live = Live(console=console, transient=True, refresh_per_second=4, get_renderable=self.last_lines)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        else:
            self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        else:
            self._over.set()
            self._beating.join()

    def tell(self, env: str, step: str, text: str) -> None:
        """Show one line; ``building`` lines, of which there are hundreds, and starts of checks pass by."""
        self._note(env, _LONG.get(step, ""), text.strip())
        words = text.split()
        if step == "building" or words[1:2] == ["..."]:
            return
        if not self._live and step == "check" and words[1:2] == ["passed"]:
            return
        self._print(env, step, self._plain(text, self._room(env)) if step == "check" else text)

    def beat(self) -> None:
        """A line for each env under way: how long its step has taken, and what it said last."""
        with self._lock:
            under_way = dict(self._under_way)
        for env, now in under_way.items():
            expected = self._expected(env, now.step)
            about = f" of about {_minutes(expected)}" if expected else ""
            last = f": {self._plain(now.text)[:_LAST]}" if now.text else ""
            self._print(env, now.step, f"under way for {_minutes(self._clock() - now.since)}{about}{last}")

    def _beat_on(self) -> None:
        while not self._over.wait(HEARTBEAT):
            self.beat()

    def _print(self, env: str, step: str, text: str) -> None:
        line = Text().append(f"{self._clock() - self._started:6.1f} s  {env}  ", style="dim")
        line.append(f"{step:<8}", style=_COLOURS.get(step, "bold"))
        for word in text.split(" "):
            line.append(f" {word}", style=_COLOURS.get(word, ""))
        self._console.print(wrapped(self._console, line), soft_wrap=True, highlight=False)

    def _room(self, env: str) -> int:
        """The letters that a line about an env has room for; without a terminal there is no end to it."""
        return self._console.width - len(f"000000.0 s  {env}  {'':8} ") if self._live else sys.maxsize

    def _plain(self, text: str, room: int = sys.maxsize) -> str:
        """A check's line as a sentence: why it did not pass, or, where there is room, what it means that it did."""
        found = _CHECK.fullmatch(text)
        if not found:
            return text
        short, detail = f"{found['id']} {found['outcome']} {found['seconds']} s", rounded(found["detail"])
        if found["outcome"] == "passed":
            detail = self._meaning(found["id"])
            detail = detail if len(f"{short}: {detail}") <= room else ""
        return f"{short}: {detail}" if detail else short

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
            shown.append(f"  {self._plain(now.text)}\n", style="dim")
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


def wrapped(console: Console, line: Text | str) -> Text:
    """A line as it fits a terminal: broken between words, what goes on indented; where there is none, as it is."""
    text = line if isinstance(line, Text) else Text(line)
    if not console.is_terminal or text.cell_len <= console.width:
        return text
    first, *_ = text.wrap(console, console.width)
    rest = text[len(first) :]
    while rest.plain.startswith((" ", "\n")):
        rest = rest[1:]
    more = rest.wrap(console, max(20, console.width - len(_INDENT)))
    return Text("\n").join([first, *(Text(_INDENT).append_text(one) for one in more)])


def rounded(text: str) -> str:
    """A text whose numbers have no more digits than anybody reads."""
    return _DIGITS.sub(lambda found: short(float(found[0])), text)


def short(value: float) -> str:
    """A number in four digits, a large one whole."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
