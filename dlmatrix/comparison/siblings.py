"""Machines that should be alike: the ones that stand out, and how sure that is.

For each metric, the median of the group and its MAD are the measure. A machine is an outlier where
it is farther from the median than the floor, and where the chance that a healthy group shows a
member this far out in any of its metrics is under 1 % (``Centre.chance``, times the number of
figures looked at). So of 100 healthy groups at most one has a machine named. With few machines, or
machines that differ much among themselves, only a large distance is that sure; smaller ones that
are likelier than not to be real are named as unclear.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlmatrix.comparison.intervals import Centre, centre
from dlmatrix.comparison.likeness import Difference, refuse
from dlmatrix.comparison.pair import FLOORS
from dlmatrix.comparison.reports import Report
from dlmatrix.errors import UnlikeError, UsageError

#: The chance that a healthy group has any machine named.
FALSE_ALARM = 0.01
#: Fewer machines say nothing about what is usual.
FEWEST = 5
#: The metric that is the middle of a machine's distances in all rows: what is slow everywhere shows there best.
OVERALL = "all rows"
#: What the machine itself reaches, set apart from the rows by this.
ROOF = "roof: "

#: An env and a metric of it.
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A machine that is far from the others in one metric."""

    report: str
    env: str
    metric: str
    #: ÷ the median of the group, less one
    distance: float
    #: the same in MADs (scaled to a standard deviation); None where all the others are equal
    mads: float | None
    #: 1 less the chance that a healthy group shows this anywhere
    sure: float

    @property
    def certain(self) -> bool:
        """Whether it is named as an outlier, and not as unclear."""
        return self.sure >= 1 - FALSE_ALARM


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A metric that most of the group have, and this machine has not; ``unreached`` as in pair.Missing."""

    report: str
    env: str
    metric: str
    reason: str
    unreached: bool = False


@dataclass(frozen=True, kw_only=True)
class Siblings:
    """What ``siblings`` found."""

    reports: tuple[str, ...]
    group: int
    #: of each metric's logarithm
    centres: Mapping[Key, Centre]
    outliers: tuple[Outlier, ...]
    missing: tuple[Absent, ...]
    #: (report, env, why its figures cannot be trusted)
    marks: tuple[tuple[str, str, str], ...]
    #: (what, in this report, in most)
    unlike: tuple[Difference, ...]


def siblings(reports: Sequence[Report], baseline: Sequence[Report] = (), anyway: bool = False) -> Siblings:
    """Hold each report against all of them, or against those of a baseline that are not among them.

    Raises UsageError for too small a group, UnlikeError naming the machines that are of another
    kind, or that they have no figure in common.
    """
    folders = {report.folder for report in reports}
    group = [report for report in baseline if report.folder not in folders] if baseline else reports
    if len(group) < FEWEST:
        raise UsageError(
            f"{len(group)} reports are too few to tell what is usual among siblings",
            f"name {FEWEST} or more; two reports are compared as A and B",
        )
    differing = tuple(_unlike(reports, group))
    if not anyway:
        refuse(differing)
    metrics = [_metrics(report) for report in group]
    counts = Counter(key for found in metrics for key in found)
    usual = [key for key, count in counts.items() if 2 * count > len(group)]
    centres = {key: centre([found[key] for found in metrics if key in found]) for key in usual}
    if not usual:
        raise UnlikeError(
            f"no figure is in most of the {len(group)} reports", "compare runs of the same envs, with throughput"
        )
    for env in dict.fromkeys(env for env, _ in usual):
        overall = [distance for found in metrics if (distance := _overall(env, found, centres)) is not None]
        if 2 * len(overall) > len(group):
            centres[env, OVERALL] = centre(overall)
    tests, outside = len(centres) * len(reports), bool(baseline)
    outliers: list[Outlier] = []
    missing: list[Absent] = []
    for report in reports:
        found = _metrics(report)
        found |= {(e, OVERALL): d for e, _ in list(centres) if (d := _overall(e, found, centres)) is not None}
        missing += _missing(report, [key for key in usual if key not in found])
        for key in centres.keys() & found.keys():
            outliers += _outlier(report, key, found[key], centres[key], tests=tests, outside=outside)
    return Siblings(
        reports=tuple(report.name for report in reports),
        group=len(group),
        centres=centres,
        outliers=tuple(sorted(outliers, key=lambda o: (not o.certain, o.report, -abs(o.distance), o.metric))),
        missing=tuple(missing),
        marks=tuple((r.name, c.env, mark) for r in reports for c in r.cells.values() for mark in c.marks),
        unlike=differing,
    )


def _metrics(report: Report) -> dict[Key, float]:
    """The logarithm of every figure of a report that is better when it is higher."""
    found: dict[Key, float] = {}
    for cell in report.cells.values():
        found |= {(cell.env, name): math.log(statistics.median(r.processes)) for name, r in cell.measured.items()}
        found |= {(cell.env, f"{ROOF}{name}"): math.log(value) for name, value in cell.roof.items()}
    return found


def _overall(env: str, found: Mapping[Key, float], centres: Mapping[Key, Centre]) -> float | None:
    rows = [key for key in centres.keys() & found.keys() if key[0] == env and not key[1].startswith(ROOF)]
    return statistics.median(found[key] - centres[key].median for key in rows) if len(rows) >= 3 else None


def _outlier(report: Report, key: Key, value: float, usual: Centre, *, tests: int, outside: bool) -> Iterator[Outlier]:
    env, metric = key
    distance = value - usual.median
    if abs(distance) <= math.log1p(FLOORS["cuda" if report.cells[env].gpu else "cpu"]):
        return
    sure = 1 - min(1.0, tests * usual.chance(value, outside))
    if sure > 0.5:
        mads = abs(distance) / usual.mad if usual.mad else None
        yield Outlier(report=report.name, env=env, metric=metric, distance=math.expm1(distance), mads=mads, sure=sure)


def _missing(report: Report, keys: Sequence[Key]) -> Iterator[Absent]:
    """One entry for each metric, or one for an env of which nothing is there."""
    for env in dict.fromkeys(env for env, _ in keys):
        cell = report.cells.get(env)
        if cell is None or not cell.measured:
            reason = cell.reason if cell else "the report has no such env"
            yield Absent(report=report.name, env=env, metric="every metric", reason=reason or "nothing was measured")
            continue
        for metric in (metric for of, metric in keys if of == env):
            row = cell.rows.get(metric)
            reason, unreached = (row.reason, row.unreached) if row else ("", False)
            yield Absent(report=report.name, env=env, metric=metric, reason=reason or "not there", unreached=unreached)


def _unlike(reports: Sequence[Report], group: Sequence[Report]) -> Iterator[Difference]:
    """The terms in which a report differs from what most of the group have."""
    for env in dict.fromkeys(env for report in group for env in report.cells):
        cells = [report.cells[env] for report in group if env in report.cells and report.cells[env].rows]
        for key in dict.fromkeys(key for cell in cells for key in cell.terms):
            (usual, _), *_ = Counter(cell.terms.get(key, "-") for cell in cells).most_common(1)
            for report in reports:
                own = report.cells[env].terms.get(key, "-") if env in report.cells and report.cells[env].rows else usual
                if own != usual:
                    yield f"{report.name}: {env}: {key}", own, usual
