"""What a page shows of an env's throughput: rows, grouped by model, and a chart for each kind of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.document import rates
from dlmatrix.report.page.charts import Chart, Point, Series, bars, lines

KINDS = ("train", "infer")
#: Modes in which nothing is compiled.
_PLAIN = ("", "eager", "session")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of throughput: where it stands, its values, and where its rate is below it."""

    at: str
    row: Mapping[str, Any]
    #: of a gpu env, whose GPU was not used for it
    on_cpu: bool = False

    @property
    def rate(self) -> str:
        """The place of the rate; in old reports it was one number."""
        return "images_per_second" + ("/median" if isinstance(self.row.get("images_per_second"), Mapping) else "")

    @property
    def interval(self) -> bool:
        """Whether an interval is known; one window has none."""
        rate = self.row.get("images_per_second")
        return isinstance(rate, Mapping) and bool(rate["low"] < rate["high"])

    @property
    def name(self) -> str:
        """What sets it apart beside model, kind and batch."""
        return rates.label(self.row)

    @property
    def full(self) -> str:
        """What it is, but for the kind."""
        return f"{self.row['model']} {self.name} {self.row['batch']}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of one model, and a chart for each kind of work."""

    model: str
    rows: tuple[Row, ...]
    #: what was not measured: kind, reason, and which modes at which batches
    skipped: tuple[tuple[str, str, str], ...]
    charts: tuple[tuple[str, str, Chart], ...]

    @property
    def kinds(self) -> list[str]:
        """The kinds of work of its rows, measured or not."""
        found = dict.fromkeys([*(row.row["kind"] for row in self.rows), *(kind for kind, *_ in self.skipped)])
        return sorted(found, key=lambda kind: kind not in KINDS[:1])


def groups_of(ident: str, rows: Sequence[Row]) -> Iterator[Group]:
    """The rows of an env, model by model; ``ident`` is what its elements' ids begin with."""
    models = dict.fromkeys(row.row["model"] for row in rows)
    on_gpu = any(row.row["device"] == "cuda" for row in rows)
    for model in sorted(models, key=lambda model: on_gpu and model != rates.LARGE):
        mine = sorted((row for row in rows if row.row["model"] == model), key=_order)
        charts = []
        for kind in KINDS:
            label = f"{ident}-{model}-{kind}"
            if chart := _rates([row for row in mine if row.row["kind"] == kind], label):
                charts.append((kind, label, chart))
        measured = tuple(row for row in mine if row.row["outcome"] != "skipped")
        yield Group(model=model, rows=measured, skipped=tuple(_skipped(mine)), charts=tuple(charts))


def _order(row: Row) -> tuple[Any, ...]:
    """Mode by mode, batch by batch; what is fed by the host, or is not fp32, comes last."""
    of = row.row
    return of["feed"] != "device", of["precision"] != "fp32", of["mode"] not in _PLAIN, row.name, of["batch"]


def _skipped(rows: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """One line for everything of a kind that was left out for one reason."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row.row["outcome"] == "skipped":
            of_reason = found.setdefault((row.row["kind"], row.row.get("reason", "")), {})
            of_reason.setdefault(row.name, []).append(str(row.row["batch"]))
    for (kind, reason), names in found.items():
        yield kind, reason, " · ".join(f"{name} {', '.join(batches)}" for name, batches in names.items())


def _rates(rows: Sequence[Row], label: str) -> Chart | None:
    """Images per second by batch, a line for each mode; where most have one batch only, a bar for each that has it."""
    found: dict[str, dict[int, Point]] = {}
    for row in rows:
        if measured := point(row.row):
            found.setdefault(row.name, {})[row.row["batch"]] = measured
    batches = sorted({batch for points in found.values() for batch in points})
    if batches and 2 * sum(len(points) > 1 for points in found.values()) < len(found):
        batch = max(batches, key=lambda batch: sum(batch in points for points in found.values()))
        usual = {name: points[batch] for name, points in found.items() if batch in points}
        return bars(list(usual), [Series(name=f"{batch}", points=list(usual.values()))], label)
    series = [Series(name=name, points=[points.get(batch) for batch in batches]) for name, points in found.items()]
    return lines([str(batch) for batch in batches], series, label, wide=True)


def point(row: Mapping[str, Any]) -> Point | None:
    """A row's rate with its interval; None where it was not measured."""
    value = rates.median(row)
    if value is None:
        return None
    known = row["images_per_second"] if isinstance(row["images_per_second"], dict) else {}
    return Point(value=value, low=known.get("low", value), high=known.get("high", value))
