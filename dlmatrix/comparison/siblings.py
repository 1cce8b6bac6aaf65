"""Machines that should be alike: the ones that stand out, and how sure that is.

A machine's figure in a row is what a pair is compared by: on a GPU the median window of its processes, on
processors, which others may share, the fastest lap. For each metric, the median of the group and its MAD are the
measure. A machine is an outlier where
it is farther from the median than the floor, and where the chance that a healthy group shows a
member this far out in any of its metrics is under 1 % (``Centre.chance``, times the number of
figures looked at), and its processes are apart from its siblings' too, by more than the floor. So of 100
healthy groups at most one has a machine named, also where what disturbs their processes is lopsided
(tests/unit/comparison/test_siblings.py). With few machines, or machines that differ much among themselves,
only a large distance is that sure; smaller ones that are likelier than not to be real are named as unclear,
and so is what fewer than four processes a machine say, below a tenth.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dlmatrix.comparison.intervals import Centre, centre
from dlmatrix.comparison.pair import FLOORS, row_ratio
from dlmatrix.comparison.reports import Report, Row
from dlmatrix.errors import UnlikeError, UsageError

#: The chance that a healthy group has any machine named.
FALSE_ALARM = 0.01
#: Fewer machines say nothing about what is usual.
FEWEST = 5
#: Of a machine's processes these are looked at, and one less is enough.
_LAPS = 5
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
    #: whether it is named as an outlier, and not as unclear
    certain: bool


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A metric that most of the group have, and this machine has not; ``unreached`` as in pair.Missing."""

    report: str
    env: str
    metric: str
    reason: str
    unreached: bool = False


@dataclass(frozen=True, kw_only=True)
class Unlike:
    """A version, a setting or a driver that is another than in most of the group."""

    report: str
    env: str
    key: str
    own: str
    usual: str


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
    unlike: tuple[Unlike, ...]


def _nothing_in_common(group: Sequence[Report]) -> tuple[str, str]:
    """What is wrong, and what to do: envs that failed before they were measured say more than the lack of figures."""
    what = f"no figure is in most of the {len(group)} reports"
    ended = Counter(f"{cell.env} {cell.reason}" for report in group for cell in report.cells.values() if cell.reason)
    if not ended:
        return what, "compare runs of the same envs, with throughput"
    words = "; ".join(f"{text} ({count} of {len(group)})" for text, count in ended.most_common(3))
    return f"{what}: {words}", "mend what failed, or compare runs of the same envs, with throughput"


def siblings(reports: Sequence[Report], baseline: Sequence[Report] | None = None, kinds: int = 1) -> Siblings:
    """Hold each report against all of them, or against those of a baseline that are not among them.

    ``kinds`` are the groups that are looked at together: the chance of a false alarm is that of all of them. Raises
    UsageError for too small a group, UnlikeError where they have no figure in common.
    """
    folders = {report.folder for report in reports}
    outside = baseline is not None
    group = reports if baseline is None else [report for report in baseline if report.folder not in folders]
    if len(group) < FEWEST:
        raise UsageError(
            f"{len(group)} reports are too few to tell what is usual among siblings",
            f"name {FEWEST} or more; two reports are compared as A and B",
        )
    metrics = [_metrics(report) for report in group]
    counts = Counter(key for found in metrics for key in found)
    usual = [key for key, count in counts.items() if 2 * count > len(group)]
    centres = {key: centre([found[key] for found in metrics if key in found]) for key in usual}
    if not usual:
        raise UnlikeError(*_nothing_in_common(group))
    for env in dict.fromkeys(env for env, _ in usual):
        overall = [distance for found in metrics if (distance := _overall(env, found, centres)) is not None]
        if 2 * len(overall) > len(group):
            centres[env, OVERALL] = centre(overall)
    tests = len(centres) * len(reports) * kinds
    outliers: list[Outlier] = []
    missing: list[Absent] = []
    for report in reports:
        found = _metrics(report)
        found |= {(e, OVERALL): d for e, _ in list(centres) if (d := _overall(e, found, centres)) is not None}
        missing += _missing(report, [key for key in usual if key not in found])
        for key in centres.keys() & found.keys():
            one = _outlier(report, key, found[key], centres[key], tests=tests, outside=outside)
            outliers += [replace(o, certain=o.certain and _confirmed(report, o, group, usual, centres)) for o in one]
    return Siblings(
        reports=tuple(report.name for report in reports),
        group=len(group),
        centres=centres,
        outliers=tuple(sorted(outliers, key=lambda o: (not o.certain, o.report, -abs(o.distance), o.metric))),
        missing=tuple(missing),
        marks=tuple((r.name, c.env, mark) for r in reports for c in r.cells.values() for mark in c.marks),
        unlike=tuple(_unlike(reports, group)),
    )


def _metrics(report: Report) -> dict[Key, float]:
    """The logarithm of every figure of a report that is better when it is higher."""
    found: dict[Key, float] = {}
    for cell in report.cells.values():
        found |= {(cell.env, name): math.log(_figure(row, gpu=cell.gpu)) for name, row in cell.measured.items()}
        found |= {(cell.env, f"{ROOF}{name}"): math.log(value) for name, value in cell.roof.items()}
    return found


def _figure(row: Row, *, gpu: bool) -> float:
    return statistics.median(row.processes) if gpu else max(row.fastest)


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
        yield Outlier(
            report=report.name,
            env=env,
            metric=metric,
            distance=math.expm1(distance),
            mads=mads,
            sure=sure,
            certain=sure >= 1 - FALSE_ALARM,
        )


def _confirmed(
    report: Report, found: Outlier, group: Sequence[Report], usual: Sequence[Key], centres: Mapping[Key, Centre]
) -> bool:
    """Whether the machine's processes are apart from its siblings' by more than the floor, not its figure alone.

    The roof has no processes. Of all rows it is the middle one that counts.
    """
    if found.metric.startswith(ROOF):
        return True
    cell = report.cells[found.env]
    names = [name for env, name in usual if env == found.env and name in cell.measured]
    edges = []
    for name in [found.metric] if found.metric != OVERALL else names:
        rows = [row for r in group if found.env in r.cells and (row := r.cells[found.env].measured.get(name))]
        edge = _edge_of_medians if cell.gpu else _edge_of_laps
        edges.append(edge(cell.rows[name], rows, math.exp(centres[found.env, name].median), slow=found.distance < 0))
    return statistics.median(edges) > FLOORS["cuda" if cell.gpu else "cpu"]


def _edge_of_medians(one: Row, rows: Sequence[Row], usual: float, *, slow: bool) -> float:
    """By how much a machine is apart from the sibling in the middle, at least (Welch's 95 % interval)."""
    middle = min(rows, key=lambda row: abs(_figure(row, gpu=True) - usual))
    ratio = row_ratio(one, middle, gpu=True)
    if ratio.low is None or ratio.high is None:
        return _edge_of_few(ratio.ratio, "cuda", slow=slow)
    return (1 / ratio.high if slow else ratio.low) - 1


def _edge_of_laps(one: Row, rows: Sequence[Row], usual: float, *, slow: bool) -> float:
    """By how much a machine's fastest process is slower than the fifth fastest that is usual, or the other way round.

    What disturbs processes is lopsided, so among hundreds of figures the fastest of five is now and then far too low.
    That all five of a sibling are ahead of it is no such chance.
    """
    laps = sorted(one.fastest, reverse=True)[:_LAPS]
    if min(len(laps), *(len(row.fastest) for row in rows)) < _LAPS - 1:
        return _edge_of_few(laps[0] / usual, "cpu", slow=slow)
    fifth = statistics.median(sorted(row.fastest, reverse=True)[:_LAPS][-1] for row in rows)
    return (fifth / laps[0] if slow else laps[-1] / usual) - 1


def _edge_of_few(ratio: float, device: str, *, slow: bool) -> float:
    """Of too few processes: what is beyond the floor of medians."""
    return (1 / ratio if slow else ratio) - 1 - FLOORS["median"] + FLOORS[device]


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


def _unlike(reports: Sequence[Report], group: Sequence[Report]) -> Iterator[Unlike]:
    """The terms in which a report differs from what most of the group have."""
    for env in dict.fromkeys(env for report in group for env in report.cells):
        cells = [report.cells[env] for report in group if env in report.cells and report.cells[env].rows]
        for key in dict.fromkeys(key for cell in cells for key in cell.terms):
            (usual, _), *_ = Counter(cell.terms.get(key, "-") for cell in cells).most_common(1)
            for report in reports:
                own = report.cells[env].terms.get(key, "-") if env in report.cells and report.cells[env].rows else usual
                if own != usual:
                    yield Unlike(report=report.name, env=env, key=key, own=own, usual=usual)
