"""The ratios within one run: TensorFlow by PyTorch, and what bare_metal.py found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.comparison.intervals import Ratio, ratio
from dlmatrix.comparison.reports import process_medians

#: The check whose data hold the ratios of a container to bare metal.
BARE_METAL = "bare-metal"
#: What two frameworks' rows must share; the mode is each one's best.
_SAME = ("model", "kind", "batch", "precision", "feed", "device")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One env of a run, with its document."""

    env: str
    series: str
    document: Mapping[str, Any]


def of_run(members: Sequence[Member], engine: str) -> list[dict[str, Any]]:
    """All ratios of a run, as result.json holds them."""
    checks = [check for member in members for check in member.document["checks"]]
    found = [dict(one) for check in checks if check["id"] == BARE_METAL for one in check["data"]["ratios"]]
    for one in (member for member in members if member.series != "torch"):
        for other in (member for member in members if member.series == "torch"):
            found += _frameworks(one, other, engine)
    return found


def entry(name: str, numerator: str, denominator: str, row: str, found: Ratio) -> dict[str, Any]:
    """One ratio as result.json holds it; without an interval where a side has one process only."""
    edges = {"ratio": found.ratio, "low": found.low, "high": found.high}
    return {"name": name, "numerator": numerator, "denominator": denominator, "row": row} | edges


def _frameworks(one: Member, other: Member, engine: str) -> Iterator[dict[str, Any]]:
    """Where both measured the same, the best mode of one by the best mode of the other."""
    above, below = _best(one), _best(other)
    for key in (key for key in above if key in below):
        model, kind, batch, precision, feed, _ = key
        numerator = f"{one.env} {above[key]['mode']} ({engine})"
        denominator = f"{other.env} {below[key]['mode']} ({engine})"
        found = ratio(process_medians(above[key]["samples"]), process_medians(below[key]["samples"]))
        row = f"{model}/{kind}/best/{batch}/{precision}/{feed}"
        yield entry(f"{one.series} / {other.series}", numerator, denominator, row, found)


def _best(member: Member) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    rows = (member.document.get("throughput") or {}).get("rows", ())
    return {tuple(row[key] for key in _SAME): row for row in rows if row.get("best")}
