"""What differs between two runs besides their speed, and whether it forbids a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dlmatrix.comparison.reports import Cell, Report
from dlmatrix.errors import UnlikeError

#: What differs, in the first, in the second.
Difference = tuple[str, str, str]


def differences(one: Mapping[str, str], two: Mapping[str, str]) -> Iterator[Difference]:
    """The entries that are not the same in both; a dash is what one of them has not."""
    for key in dict.fromkeys((*one, *two)):
        a, b = one.get(key, "-"), two.get(key, "-")
        if a != b:
            yield key, a, b


def unlike(a: Cell, b: Cell) -> list[Difference]:
    """The terms that must be the same for a comparison, and are not; none where there is nothing to compare."""
    if not (a.measured and b.measured):
        return []
    return [(f"{_both(a, b)}: {key}", one, two) for key, one, two in differences(a.terms, b.terms)]


def environment(a: Report, b: Report, pairs: Sequence[tuple[Cell, Cell]]) -> list[Difference]:
    """Everything that differs around the figures, the terms of comparison first."""
    found = [difference for one, two in pairs for difference in unlike(one, two)]
    found += differences(a.surroundings, b.surroundings)
    for one, two in pairs:
        changed = differences(one.surroundings, two.surroundings)
        found += [(f"{_both(one, two)}: {key}", x, y) for key, x, y in changed]
    return found


def refuse(differing: Sequence[Difference]) -> None:
    """Raise UnlikeError naming each difference, where there is one."""
    if differing:
        named = "; ".join(f"{key} ({one} and {two})" for key, one, two in differing)
        raise UnlikeError(f"the runs are unlike: {named}", "make them alike, or compare them all the same: --anyway")


def _both(a: Cell, b: Cell) -> str:
    return a.env if a.env == b.env else f"{a.env} and {b.env}"
