"""What went wrong in one line: the deepest cause first, and what only echoes it folded under it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dlmatrix.system.words import listed

#: What a failure comes down to, the deepest first: whatever else a check says, it ends because of this.
_ROOTS = (
    re.compile(r"No space left on device|Disk quota exceeded"),
    re.compile(r"Cannot allocate memory|std::bad_alloc"),
    re.compile(r"[\w.+-]+\.so[\w.]*: (?:cannot open shared object file|file too short|invalid ELF header)"),
    re.compile(r"undefined symbol: \w+"),
    re.compile(r"No module named '?[\w.]+'?"),
    re.compile(r"cannot import name '?\w+'?"),
)
#: Checks that can only repeat what another one found: its words in the log, its end in a training.
_ECHOES = ("log-clean",)
_SHOWN = 3


def headline(checks: Iterable[Mapping[str, Any]]) -> str:
    """One line of checks that went wrong: each cause once, with the check that tells it best and how many more.

    The first line of each reason is taken; the document has them whole. ``imports`` tells a failed import best.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    ranks: dict[str, tuple[int, int]] = {}
    for number, check in enumerate(checks):
        cause, rank = _cause(check)
        groups.setdefault(cause, []).append(check)
        ranks[cause] = min(ranks.get(cause, (rank, number)), (rank, number))
    return "; ".join(_line(groups[cause]) for cause in sorted(groups, key=ranks.__getitem__))


def _cause(check: Mapping[str, Any]) -> tuple[str, int]:
    """What a check's reason comes down to, and how deep that is (0 is deepest)."""
    reason = str(check["reason"])
    for depth, root in enumerate(_ROOTS):
        if found := root.search(reason):
            return found[0].replace("'", ""), depth
    return _first_line(reason), len(_ROOTS) + (check["id"] in _ECHOES)


def _line(group: list[Mapping[str, Any]]) -> str:
    """The check that tells a cause, and the names of those that say the same."""
    first, *more = sorted(group, key=lambda check: (check["id"] != "imports", check["id"] in _ECHOES))
    others = [check["id"] for check in more]
    return f"{first['id']}: {_telling(first['reason'])}" + (f" (so do {listed(others, _SHOWN)})" if others else "")


def _telling(reason: str) -> str:
    """The first line, with the root where only a later one names it."""
    first = _first_line(reason)
    for root in _ROOTS:
        if found := root.search(reason):
            return first if found[0] in first else f"{first} ({found[0]})"
    return first


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
