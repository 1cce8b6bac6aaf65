"""Two runs: for each row, is B the same, faster, slower, or is it unclear?

On a GPU the median window of each process is compared. On processors that others share, medians differ from
process to process by a tenth, so that is the fastest lap, what the program needs when nothing is in its way
(smoke/throughput/windows.py); medians that are apart are shown, and have no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dlmatrix.comparison.intervals import (
    FASTER,
    SAME,
    SLOWER,
    UNCLEAR,
    FastestRatio,
    Ratio,
    judge,
    ratio,
)
from dlmatrix.comparison.likeness import Difference, environment, refuse, unlike
from dlmatrix.comparison.reports import Cell, Report
from dlmatrix.comparison.reports import Row as Measured
from dlmatrix.errors import UnlikeError

#: Smaller differences than these are of no interest, or within what machines and days differ by. Fastest laps on a CPU:
#: the spread between repetitions of benchmarks/noise.py, 1.8 % on a virtual machine with neighbours.
#: On a GPU healthy siblings differ by 0.1 to 0.4 %.
FLOORS: Mapping[str, float] = {
    "cpu": 0.02,
    "cuda": 0.01,
    "roof": 0.05,
    "median": 0.1,
    "first step": 0.3,
    "peak memory": 0.05,
    "peak GPU memory": 0.02,
    "unpacked image": 0.01,
    "compressed image": 0.01,
    "build": 0.25,
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row's verdict on B ÷ A of images per second. The interval is None where a side has too few processes."""

    env: str
    id: str
    #: median or fastest
    figure: str
    verdict: str
    ratio: float
    low: float | None
    high: float | None
    floor: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """A figure without an interval that differs by more than its floor; it has no verdict."""

    env: str
    what: str
    a: float
    b: float
    floor: float


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A row that A has and B has not; ``unreached``: because B's budget was spent before, which is no failure."""

    env: str
    id: str
    reason: str
    unreached: bool = False


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What ``compare`` found."""

    a: str
    b: str
    env_differences: tuple[Difference, ...]
    rows: tuple[Row, ...]
    missing: tuple[Missing, ...]
    #: (env, id) of rows that only B has
    added: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]
    #: (a or b, env, why its figures cannot be trusted)
    marks: tuple[tuple[str, str, str], ...]

    @property
    def verdicts(self) -> dict[str, str]:
        """One verdict for each env: the worst of its rows; SAME only where every row is."""
        found: dict[str, str] = {}
        for env in dict.fromkeys(row.env for row in self.rows):
            of_rows = {row.verdict for row in self.rows if row.env == env}
            found[env] = next((v for v in (SLOWER, FASTER, UNCLEAR) if v in of_rows), SAME)
        return found

    def slower(self) -> list[Row]:
        """The rows that got slower."""
        return [row for row in self.rows if row.verdict == SLOWER]


def compare(a: Report, b: Report, anyway: bool = False) -> Comparison:
    """B against A; ``anyway``: unlike runs too.

    Raises UnlikeError naming what differs, or that the two have nothing in common.
    """
    pairs = _pairs(a, b)
    if not anyway:
        refuse([difference for one, two in pairs for difference in unlike(one, two)])
    both = [(one, two, name) for one, two in pairs for name in one.measured if name in two.measured]
    if not both:
        raise UnlikeError(
            f"no row was measured in both {a.name} and {b.name}", "compare runs of the same envs, with throughput"
        )
    ratios = [row_ratio(two.rows[name], one.rows[name], gpu=one.gpu) for one, two, name in both]
    floors = [FLOORS["cuda" if one.gpu else "cpu"] for one, _, _ in both]
    rows = []
    for (one, two, name), found, floor, judged in zip(both, ratios, floors, judge(ratios, floors), strict=True):
        verdict, reason = judged
        marked = " and ".join(side for side, cell in (("A", one), ("B", two)) if cell.marks)
        rows.append(
            Row(
                env=two.env,
                id=name,
                figure="median" if one.gpu else "fastest",
                verdict=verdict,
                ratio=found.ratio,
                low=found.low,
                high=found.high,
                floor=floor,
                reason=f"{reason}; {marked} marked" if marked else reason,
            )
        )
    return Comparison(
        a=a.name,
        b=b.name,
        env_differences=tuple(environment(a, b, pairs)),
        rows=tuple(rows),
        missing=tuple(_missing(a, b, pairs)),
        added=tuple((two.env, name) for one, two in pairs for name in two.measured if name not in one.measured),
        changes=tuple(change for one, two in pairs for change in _changes(one, two)),
        marks=tuple((side, c.env, m) for one, two in pairs for side, c in (("A", one), ("B", two)) for m in c.marks),
    )


def row_ratio(b: Measured, a: Measured, *, gpu: bool) -> Ratio | FastestRatio:
    """B ÷ A of the figure that is compared."""
    return ratio(b.processes, a.processes) if gpu else FastestRatio(b.fastest, a.fastest)


def _pairs(a: Report, b: Report) -> list[tuple[Cell, Cell]]:
    """The envs of both, by name; two runs of one env each are a pair, whatever their names."""
    if len(a.cells) == len(b.cells) == 1:
        return list(zip(a.cells.values(), b.cells.values(), strict=True))
    return [(cell, b.cells[name]) for name, cell in a.cells.items() if name in b.cells]


def _missing(a: Report, b: Report, pairs: list[tuple[Cell, Cell]]) -> Iterator[Missing]:
    partners = {one.env: two for one, two in pairs}
    for env, one in a.cells.items():
        two = partners.get(env)
        for name in one.measured:
            if two is None:
                yield Missing(env=env, id=name, reason=f"{b.name} has no {env}")
            elif name not in two.measured:
                row = two.rows.get(name)
                reason = (row.reason if row else two.reason) or "it was not measured"
                yield Missing(env=env, id=name, reason=reason, unreached=bool(row and row.unreached))


def _changes(a: Cell, b: Cell) -> Iterator[Change]:
    """What differs by more than its floor and has no verdict: memory, medians, first steps, the image, the roof."""
    figures = [
        (kind, kind, a.costs.get(kind), b.costs.get(kind)) for kind in ("unpacked image", "compressed image", "build")
    ]
    figures += [("roof", f"roof: {name}", value, b.roof.get(name)) for name, value in a.roof.items()]
    for name in (name for name in a.measured if name in b.measured):
        costs = b.rows[name].costs
        figures += [(kind, f"{name}: {kind}", value, costs.get(kind)) for kind, value in a.rows[name].costs.items()]
    for kind, what, one, other in figures:
        if one and other and max(one, other) / min(one, other) > 1 + FLOORS[kind]:
            yield Change(env=b.env, what=what, a=one, b=other, floor=FLOORS[kind])
