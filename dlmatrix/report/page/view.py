"""What a page shows of each env: rows, charts and places in result.json, put together for the templates."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.document import rates, sizes
from dlmatrix.document.fitness import on_cpu
from dlmatrix.errors import typed
from dlmatrix.report.history import History
from dlmatrix.report.page.charts import Chart, Point, Series, bars, lines
from dlmatrix.report.page.rows import KINDS, Group, Row, groups_of, point
from dlmatrix.report.page.source import Source, clean, in_words

#: Characters of what a check found that the page shows, where it went well and where not; result.json has all.
_SHOWN, _SHOWN_BAD = 160, 1500
#: Runs that a chart over time shows.
_RUNS = 12


@dataclass(frozen=True, kw_only=True)
class EnvView:
    """One env. ``at`` is where it stands in result.json, ``id`` what its elements' ids begin with."""

    at: str
    id: str
    env: Mapping[str, Any]
    document: Mapping[str, Any]
    machine: Mapping[str, Any]
    headline: Mapping[str, Row]
    groups: tuple[Group, ...]
    learning: tuple[tuple[str, str, Chart], ...]
    #: place, check, and what it expected and found, in words
    checks: tuple[tuple[str, Mapping[str, Any], tuple[tuple[str, str], ...]], ...]
    diagnosis: Mapping[str, Any]
    #: where its image's sizes are, unpacked and compressed; empty for what is not known
    sizes: tuple[str, ...]
    past: Sequence[Mapping[str, Any]]
    past_charts: tuple[tuple[str, str, Chart], ...]
    advice: tuple[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks ended in which way."""
        outcomes = [check["outcome"] for _, check, _ in self.checks]
        return {word: outcomes.count(word) for word in ("passed", "failed", "error", "skipped") if word in outcomes}

    @property
    def on_cpu(self) -> bool:
        """Whether it is for a GPU, and its figures are the CPU's."""
        return on_cpu(self.env["name"], self.document)

    @property
    def measured(self) -> tuple[str, str]:
        """What its headline rates were measured on and of: (cpu or cuda, model)."""
        row = next(iter(self.headline.values())).row
        return str(row["device"]), str(row["model"])

    @property
    def past_differs(self) -> bool:
        """Whether its runs have headline rates of different models."""
        return len({_model(entry[kind]) for entry in self.past for kind in KINDS if entry[kind]}) > 1

    @property
    def open(self) -> bool:
        """Whether its details are shown at once: where something is to be looked at."""
        return self.env["outcome"] in ("failed", "error")


def env_views(source: Source, history: History) -> list[EnvView]:
    """Every env of a run."""
    about = dict(source.at("/engine") or {})
    engine = str(about.get("engine") or "")
    return [
        _env(f"/envs/{number}", env, about | {"engine": engine}, history.of(env["name"], engine))
        for number, env in enumerate(source.at("/envs") or [])
    ]


def overview(views: Sequence[EnvView]) -> list[tuple[str, str, str, Chart]]:
    """The headline rates of all envs beside each other: device, model, id and chart; only like beside like.

    Empty where there are less than two envs with a rate.
    """
    shown = [view for view in views if view.headline]
    charts = []
    for device, model in dict.fromkeys(view.measured for view in shown) if len(shown) > 1 else ():
        mine = [view for view in shown if view.measured == (device, model)]
        series = [Series(name=kind, points=[_headline_point(view, kind) for view in mine]) for kind in KINDS]
        label = f"overview-{device}-{model}"
        names = [view.env["name"] + (" (CPU)" if view.on_cpu else "") for view in mine]
        charts.append((device, model, label, bars(names, series, label)))
    return charts


def _env(at: str, env: Mapping[str, Any], engine: Mapping[str, str], past: Sequence[Mapping[str, Any]]) -> EnvView:
    document = env.get("document") or {}
    known = sizes.places(env, engine)
    ident = "env-" + "".join(c if c.isalnum() else "-" for c in env["name"])

    def row_of(place: str, row: Mapping[str, Any]) -> Row:
        stray = env["name"].startswith("gpu-") and row["device"] == "cpu"
        return Row(at=f"{at}/document{place}", row=row, on_cpu=stray)

    rows = [row_of(place, row) for place, row in rates.rows_of(document)]
    throughput = document.get("throughput")
    found = {kind: rates.headline(document, kind) for kind in KINDS}
    checks = tuple(_checks(at, document.get("checks") or []))
    diagnoses = [(check["data"] or {}).get("diagnosis") for _, check, _ in checks if check["id"] == "gpu-diagnosis"]
    return EnvView(
        at=at,
        id=ident,
        env=env,
        document=document,
        machine=(throughput.get("machine") or {}) if isinstance(throughput, dict) else {},
        headline={kind: row_of(*place) for kind, place in found.items() if place},
        groups=tuple(groups_of(ident, rows)),
        learning=tuple(_learning(ident, (document.get("training") or {}).get("epochs") or [])),
        checks=checks,
        diagnosis=next(filter(None, diagnoses), {}),
        sizes=tuple(at + known[key] if key in known else "" for key in (sizes.UNPACKED, sizes.COMPRESSED)),
        past=past[-_RUNS:],
        past_charts=tuple(_past(ident, past[-_RUNS:])),
        advice=_advice(env, engine["engine"]),
    )


def _headline_point(view: EnvView, kind: str) -> Point | None:
    return point(view.headline[kind].row) if kind in view.headline else None


def _learning(ident: str, epochs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Chart]]:
    labels = [str(number) for number in range(1, len(epochs) + 1)]
    for key in ("loss", "accuracy"):
        values = [epoch[key] if isinstance(epoch[key], (int, float)) else None for epoch in epochs]
        points = [None if value is None else Point(value=value, low=value, high=value) for value in values]
        label = f"{ident}-{key}"
        if chart := lines(labels, [Series(name=key, points=points)], label):
            yield key, label, chart


def _past(ident: str, past: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, Chart]]:
    """A chart a kind over time, a line for each row of the model that the newest run was measured by.

    What --quick and what a full run tell are different rows. One run is no history.
    """
    if len(past) < 2:
        return
    labels = [entry["started"][5:10] for entry in past]
    if len(set(labels)) < len(labels):
        labels = [entry["started"][5:16].replace("T", " ") for entry in past]
    for kind in KINDS:
        newest = next((_model(entry[kind]) for entry in reversed(past) if entry[kind]), "")
        found = [entry[kind] if entry[kind] and _model(entry[kind]) == newest else None for entry in past]
        label = f"{ident}-past-{kind}"
        series = [
            Series(name=row or kind, points=[_told(r) if r and r.get("row", "") == row else None for r in found])
            for row in dict.fromkeys(rate.get("row", "") for rate in reversed(found) if rate)  # the newest run's first
        ]
        if chart := lines(labels, series, label):
            yield kind, label, chart


def _told(rate: Mapping[str, Any]) -> Point:
    return Point(value=rate["median"], low=rate["low"], high=rate["high"])


def _model(rate: Mapping[str, Any]) -> str:
    """The model of a rate of the history; before rows had ids it was the small CNN."""
    return str(rate.get("row") or "cnn").partition("/")[0]


def _checks(
    at: str, checks: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any], tuple[tuple[str, str], ...]]]:
    """Place, check, and what it expected and found as text; what went wrong first."""
    order = {"failed": 0, "error": 1, "skipped": 2}
    plain = {"kind": "", "reason": "", "asserts": "", "seconds": None, "data": None}
    for number, check in sorted(enumerate(checks), key=lambda pair: order.get(pair[1]["outcome"], 3)):
        more = {key: check[key] for key in ("expected", "found") if check.get(key) not in (None, {}, [], "")}
        room = _SHOWN_BAD if check["outcome"] in ("failed", "error") else _SHOWN
        shown = tuple((key, _cut(clean(in_words(value)), room)) for key, value in more.items())
        yield f"{at}/document/checks/{number}", {**plain, **check}, shown


def _cut(text: str, room: int) -> str:
    return text[:room] + ("…" if text[room:] else "")


def _advice(env: Mapping[str, Any], engine: str) -> tuple[str, str]:
    """What to do now: the key of a text, and the command."""
    name = env["name"]
    if env.get("next_step"):
        return "next", str(env["next_step"])
    if env["outcome"] in ("failed", "error"):
        return "again", typed(f"python -m dlmatrix run {name}") + (
            f" --engine {engine}" if engine in ("docker", "apptainer", "venv") else ""
        )
    if env.get("status") == "impossible":
        return "others", typed("python -m dlmatrix list")
    if env["outcome"] == "skipped":
        return "why", typed(
            f"python -m dlmatrix doctor {name}" if name.startswith("gpu-") else "python -m dlmatrix doctor"
        )
    if engine == "docker":
        return "use", f"docker run --rm -it --entrypoint python dlmatrix:{name}"
    what = (env.get("facts") or {}).get("what")
    if what and engine == "apptainer":
        return "use", f"apptainer exec {'--nv ' if name.startswith('gpu-') else ''}{shlex.quote(str(what))} python"
    return ("use", str(what)) if what else ("", "")
