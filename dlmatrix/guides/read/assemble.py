"""What every reader hands over, put in order: headings and tabs become paths, words become the lead of what follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dlmatrix.guides.model import Block


@dataclass(frozen=True)
class Heading:
    """A heading; a tab is one of level 7, and a level without text ends what is on it."""

    level: int
    text: str
    #: whether it stands inside a tab, which it does not end then
    inside: bool = False


@dataclass(frozen=True)
class Words:
    """Words that are no code."""

    text: str


@dataclass(frozen=True)
class Code:
    """Words that are set as code; see ``Block``."""

    text: str
    language: str
    kind: str
    line: int
    output: str = ""


Event = Heading | Words | Code
#: The level of tabs, below all headings.
TAB = 7
#: Characters of a lead: a sentence or two.
_LEAD = 300


def assemble(events: Iterable[Event]) -> tuple[tuple[Block, ...], str]:
    """The blocks, each with its path and lead, and all words."""
    blocks: list[Block] = []
    prose: list[str] = []
    path: list[tuple[float, str]] = []
    lead = ""
    for event in events:
        if isinstance(event, Heading):
            path = _under(path, event)
            prose.append(event.text)
            lead = ""
        elif isinstance(event, Words):
            prose.append(event.text)
            lead = (lead + " " + event.text).strip()[-_LEAD:]
        elif event.text.strip():
            blocks.append(
                Block(
                    text=event.text.rstrip(),
                    language=event.language.lower(),
                    kind=event.kind,
                    line=event.line,
                    path=tuple(text for _, text in path),
                    lead=lead,
                    output=event.output,
                )
            )
            if event.kind == "inline":
                lead = f"{lead} {event.text}"[-_LEAD:]
                prose.append(event.text)
            else:
                lead = ""
    return tuple(blocks), "\n".join(prose)


def _under(path: list[tuple[float, str]], heading: Heading) -> list[tuple[float, str]]:
    """The path that begins with a heading. A tab takes another's place, and holds the headings that stand inside it."""
    tab = next((n for n, one in enumerate(path) if one[0] % 1), len(path))
    if heading.level == TAB:
        kept = path[:tab]
        level = (kept[-1][0] if kept else 0) + 0.5
    else:
        within = tab + 1 if heading.inside else 0
        kept = path[:within] + [one for one in path[within:] if one[0] < heading.level and one[0] % 1 == 0]
        level = heading.level
    return [*kept, (level, heading.text.strip())] if heading.text else kept


class Finder:
    """Finds the line that a text stands on, always behind what was found before."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines()
        self._at = 0

    def line(self, text: str, start: int | None = None) -> int:
        """The number, from 1, of the line that holds the first line of a text; the place before where none does."""
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        begin = self._at if start is None else start
        for number in range(begin, len(self._lines)):
            if first and first in self._lines[number]:
                self._at = number
                return number + 1
        return begin + 1
