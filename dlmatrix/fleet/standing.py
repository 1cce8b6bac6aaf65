"""Which machines of a fleet stand out among those of their kind: what ``compare`` says of what came home."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.comparison.many import many
from dlmatrix.comparison.reports import read_all
from dlmatrix.comparison.siblings import OVERALL, Outlier, Siblings
from dlmatrix.document.result import FILE
from dlmatrix.errors import UnlikeError, UsageError
from dlmatrix.fleet.home import HOSTS
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import folder_name
from dlmatrix.run.verdict import read_schema
from dlmatrix.system.checkout import find_root

Finding = Mapping[str, Any]


def findings(run: Path, fleet: Fleet) -> tuple[Finding, ...]:
    """One for each machine and env that is slower or faster, lacks a figure, or differs; none where all are too few."""
    names = {folder_name(row.name): row.name for row in fleet.machines if row.figures}
    passed = {row.name for row in fleet.machines if row.state == "passed"}
    folders = [run / HOSTS / folder for folder in names if (run / HOSTS / folder / FILE).is_file()]
    try:
        found = many(read_all(folders, read_schema(find_root()))[0]) if folders else None
    except (UsageError, UnlikeError):
        return ()
    told = [one for judged in found.judged for one in _of_kind(judged, names, passed)] if found else []
    return tuple(sorted(told, key=lambda one: (not one["certain"], list(names.values()).index(one["machine"]))))


def _of_kind(found: Siblings, names: Mapping[str, str], passed: set[str]) -> Iterator[Finding]:
    for (report, env), outliers in _by_cell(found).items():
        # The middle of all rows says it best; where only one row stands out, it is the farthest.
        told = min(outliers, key=lambda one: (not one.certain, one.metric != OVERALL, -abs(one.distance)))
        yield _outlier(told, names[report], env, found.group)
    for report, env in dict.fromkeys((gone.report, gone.env) for gone in found.missing if not gone.unreached):
        if names[report] in passed:
            gone = [one for one in found.missing if (one.report, one.env) == (report, env) and not one.unreached]
            metrics = ", ".join(one.metric for one in gone[:3])
            words = f"{names[report]}: {env}: {metrics}: {gone[0].reason}"
            yield _finding(names[report], "missing", env, certain=True, metric=metrics, words=words)
    for unlike in found.unlike:
        words = f"{names[unlike.report]}: {unlike.env}: {unlike.key}: {unlike.own} where most have {unlike.usual}"
        yield _finding(names[unlike.report], "differs", unlike.env, certain=False, metric=unlike.key, words=words)


def _by_cell(found: Siblings) -> Mapping[tuple[str, str], list[Outlier]]:
    cells: dict[tuple[str, str], list[Outlier]] = {}
    for one in found.outliers:
        cells.setdefault((one.report, one.env), []).append(one)
    return cells


def _outlier(found: Outlier, machine: str, env: str, group: int) -> Finding:
    what = "slower" if found.distance < 0 else "faster"
    sure = math.floor(found.sure * 1000) / 1000  # cut, not rounded
    words = f"{machine}: {env}: {found.metric}: {found.distance:+.1%} from the median of its {group} siblings, "
    words += f"{sure:.1%} sure" if found.certain else "unclear"
    return {
        **_finding(machine, what, env, certain=found.certain, metric=found.metric, words=words),
        "distance": round(found.distance, 4),
        "sure": sure,
    }


def _finding(machine: str, what: str, env: str, *, certain: bool, metric: str, words: str) -> Finding:
    return {"machine": machine, "what": what, "env": env, "metric": metric, "certain": certain, "words": words}
