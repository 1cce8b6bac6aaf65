"""What a comparison looks like, in lines for people and as data for machines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from dlmatrix.comparison.many import Many
from dlmatrix.comparison.pair import Change, Comparison, Missing, Row
from dlmatrix.comparison.siblings import FALSE_ALARM, Absent, Outlier, Siblings, Unlike
from dlmatrix.system.words import listed

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def pair_lines(found: Comparison) -> Iterator[str]:
    """Verdicts first by env, then by row; then everything else that differs."""
    yield f"A: {found.a}"
    yield f"B: {found.b}"
    width = max(len(row.id) for row in found.rows)
    for env, verdict in found.verdicts.items():
        yield f"{env}: {verdict}"
        yield from (f"  {_row(row, width)}" for row in found.rows if row.env == env)
    yield from (f"{_absence(gone)}: {gone.env} {gone.id}: {gone.reason}" for gone in found.missing)
    yield from (f"new: {env} {name}" for env, name in found.added)
    yield from (f"marked: {side}: {env}: {mark}" for side, env, mark in found.marks)
    yield from (f"changed: {_change(change)}" for change in found.changes)
    yield from (f"differs: {key}: {one} | {two}" for key, one, two in found.env_differences)


def pair_json(found: Comparison) -> dict[str, Any]:
    """The comparison, and the verdict of each env."""
    return {"schema_version": 1, "verdicts": found.verdicts, **dataclasses.asdict(found)}


def many_lines(found: Many) -> Iterator[str]:
    """Kind by kind the machines that stand out, and what they lack; then what was left out."""
    for kind in found.kinds:
        if len(found.kinds) > 1:
            yield f"{len(kind.reports)} of {kind.words}: {listed(kind.reports)}"
        yield from (_siblings(kind.found) if kind.found else [f"not judged: {kind.reason}"])
    yield from (f"unreadable, and left out: {report}: {why}" for report, why in found.unreadable)


def _siblings(found: Siblings) -> Iterator[str]:
    yield (
        f"held against {found.group} reports: {len(found.reports)}, in {len(found.centres)} metrics; "
        f"of 100 healthy groups at most {FALSE_ALARM * 100:.0f} has a machine named"
    )
    yield from (_outlier(outlier) for outlier in found.outliers)
    yield from (f"{_absence(gone)}: {gone.report}: {gone.env}: {gone.metric}: {gone.reason}" for gone in found.missing)
    yield from _marks(found)
    yield from _unlike(found)
    if not (found.outliers or found.missing or found.marks):
        yield "no machine stands out"


def many_json(found: Many) -> dict[str, Any]:
    """The same as data; medians and MADs as what they are, not as logarithms."""
    kinds = [
        {"kind": kind.words, "reports": kind.reports, "reason": kind.reason, **_found_json(kind.found)}
        for kind in found.kinds
    ]
    unreadable = [{"report": report, "reason": why} for report, why in found.unreadable]
    return {"schema_version": 2, "false_alarm": FALSE_ALARM, "kinds": kinds, "unreadable": unreadable}


def _found_json(found: Siblings | None) -> dict[str, Any]:
    if found is None:
        return {"judged": False}
    centres = [
        {"env": env, "metric": metric, "median": math.exp(c.median), "mad": math.expm1(c.mad), "reports": c.count}
        for (env, metric), c in found.centres.items()
    ]
    return {"judged": True, **dataclasses.asdict(dataclasses.replace(found, centres={})), "centres": centres}


def _marks(found: Siblings) -> Iterator[str]:
    """What one mark says of several machines is one line, with the words that one of them has."""
    for (env, kind), marked in _grouped(found.marks, lambda mark: (mark[1], mark[2].partition(":")[0])).items():
        names = list(dict.fromkeys(report for report, _, _ in marked))
        if len(marked) == 1:
            yield f"marked: {names[0]}: {env}: {marked[0][2]}"
        else:
            how_many = f"{len(names)} of {len(found.reports)} machines"
            yield f"marked: {env}: {kind}: {how_many}, {listed(names)}; {_first(marked)}"


def _first(marked: Sequence[tuple[str, str, str]]) -> str:
    report, _, mark = marked[0]
    return f"{report}: {mark.partition(': ')[2] or mark}"


def _unlike(found: Siblings) -> Iterator[str]:
    def same(one: Unlike) -> tuple[str, str, str, str]:
        return one.env, one.key, one.own, one.usual

    for (env, key, own, usual), all_of_it in _grouped(found.unlike, same).items():
        yield f"differs: {listed(one.report for one in all_of_it)}: {env}: {key}: {own} | {usual}"


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> Mapping[Key, list[Item]]:
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def _absence(gone: Missing | Absent) -> str:
    return "not reached" if gone.unreached else "missing"


def _row(row: Row, width: int) -> str:
    edges = f"{row.low:.3f} to {row.high:.3f}" if row.low is not None and row.high is not None else "?"
    return f"{row.verdict:<7}  {row.id:<{width}}  {row.figure:<7}  B/A {row.ratio:.3f}  {edges:<14}  {row.reason}"


def _change(change: Change) -> str:
    share = f"{change.b / change.a - 1:+.1%}"
    if "roof" in change.what or change.what.endswith("median"):
        return f"{change.env} {change.what}: {share}"
    seconds = change.what.endswith(("first step", "build"))
    a, b = (f"{value:.2f} s" if seconds else f"{value / 1e6:,.0f} MB" for value in (change.a, change.b))
    return f"{change.env} {change.what}: {a} to {b} ({share})"


def _outlier(found: Outlier) -> str:
    word = ("slow" if found.distance < 0 else "fast") if found.certain else "UNCLEAR"
    mads = "the others are all equal" if found.mads is None else f"{found.mads:.1f} MADs"
    # Cut, not rounded: what is less sure than the rate is not to read as sure.
    sure = f"{math.floor(found.sure * 1000) / 10:.1f} % sure"
    return f"{word}: {found.report}: {found.env}: {found.metric}: {found.distance:+.1%} from the median, {mads}, {sure}"
