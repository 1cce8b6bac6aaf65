"""A fleet as one page: what to do, who stands out, a grid, a table to sort, and how each stood in earlier runs."""

from __future__ import annotations

import functools
import json
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix import __version__
from dlmatrix.fleet.figures import cards, kind
from dlmatrix.fleet.record import FILE, LARGEST, Fleet
from dlmatrix.fleet.row import Row, filled
from dlmatrix.fleet.states import states
from dlmatrix.report.fleet.plain import stands, together
from dlmatrix.report.page import render
from dlmatrix.system.files import read_limited
from dlmatrix.system.toml import read_toml

#: How a state is coloured, as the outcomes of a report are.
_COLOURS = {"passed": "passed", "failed": "failed", "hung": "failed", "skipped": "skipped", "twin": "skipped"}
#: Fewer machines of a kind say nothing about what is usual, as in a comparison.
_FEWEST = 5
#: Earlier runs that are shown.
_RUNS = 10
#: By language.
_Words = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as the page shows it."""

    id: str
    name: str
    #: without the domain that all have, where there is little room
    short: str
    #: its place among the states
    order: int
    word: _Words
    colour: str
    why: _Words | None
    said: str
    trains: bool | None
    #: images/s in training, of its first env; as a share of the fastest of its kind; ÷ the median of its kind, less one
    rate: float | None
    share: float
    beside: float | None
    driver: str
    gpu: str
    seconds: float | None
    before: tuple[str, ...]
    #: when, colour, word
    past: tuple[tuple[str, str, _Words], ...]
    finding: Mapping[str, Any] | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Machines that stand alike, and what to do about them."""

    words: _Words
    next: _Words | None
    rows: Sequence[Machine]
    #: what was said of it, where that is the cause, or there is one machine
    said: str
    moving: bool


def fleet_html(fleet: Fleet, folder: Path) -> str:
    """The page of a run; ``folder`` is the run's, beside which earlier ones are."""
    rows = tuple(_machines(fleet, _past(folder)))
    by_kind: dict[str, list[Machine]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    kinds = sorted(by_kind.items(), key=lambda one: (not one[0], -len(one[1])))
    causes, standing = tuple(_causes(fleet, rows, folder)), together(fleet.findings)
    there = {"todo": causes, "standing": standing, "grid": True, "machines": True}
    trains = [row.trains for row in rows]
    return render(
        "fleet.html",
        "fleet_title",
        fleet=fleet,
        rows=rows,
        named={row.name: row for row in rows},
        kinds=kinds,
        causes=causes,
        standing=standing,
        tally=_tally(fleet),
        trains=trains.count(True),
        cannot=trains.count(False),
        unknown=trains.count(None),
        sections=[name for name, found in there.items() if found],
        version=__version__,
    )


def _machines(fleet: Fleet, past: Mapping[str, list[tuple[str, str]]]) -> Iterator[Machine]:
    rates = {row.name: _rate(row) for row in fleet.machines}
    kinds: dict[str, list[float]] = {}
    for row in fleet.machines:
        if (rate := rates[row.name]) and row.figures:
            kinds.setdefault(kind(row.figures), []).append(rate)
    # Of several findings of a machine the first counts: the certain ones come first.
    findings = {str(found["machine"]): found for found in reversed(fleet.findings) if "distance" in found}
    order, domain = list(states()), _domain([row.name for row in fleet.machines])
    for number, row in enumerate(fleet.machines):
        found = row.figures or {}
        alike, rate = kinds.get(kind(found), []), rates[row.name]
        yield Machine(
            id=f"m{number}",
            name=row.name,
            short=row.name.removesuffix(domain),
            order=order.index(row.state),
            word=_word(row.state),
            colour=_colour(row.state),
            why=_why(row),
            said="" if row.state == "passed" else row.said,
            trains=_trains(found),
            rate=rate,
            share=rate / max(alike) if rate else 0.0,
            beside=rate / statistics.median(alike) - 1 if rate and len(alike) >= _FEWEST else None,
            driver=str(found.get("driver") or ""),
            gpu=cards(found),
            seconds=row.seconds,
            before=row.before,
            past=tuple((when, _colour(state), _word(state)) for when, state in past.get(row.name, ())),
            finding=findings.get(row.name),
            kind=kind(found),
        )


def _causes(fleet: Fleet, rows: Sequence[Machine], folder: Path) -> Iterator[Cause]:
    """Machines together that have one cause; those that nothing is to be done about are left out."""
    groups: dict[tuple[str, str], list[tuple[Row, Machine]]] = {}
    for row, machine in zip(fleet.machines, rows, strict=True):
        if row.state != "passed":
            groups.setdefault(stands(row), []).append((row, machine))
    place = f"reports/fleet/{folder.name}"
    for members in sorted(groups.values(), key=lambda one: (one[0][0].meaning.moving, -len(one))):
        row, _ = members[0]
        alone = len(members) == 1
        yield Cause(
            words=_why(row) or {"en": row.meaning.words, "zh": _chinese()["state"][row.state][1]},
            next=_next(row, place, alone=alone),
            rows=[machine for _, machine in members],
            said="" if row.cause and not alone else row.said,
            moving=row.meaning.moving,
        )


def _domain(names: Sequence[str]) -> str:
    """What all names end with, from a dot on (``.lab.example.org``); "" where that is nothing, or of an address."""
    shared: list[str] = []
    for labels in zip(*(name.split(".")[:0:-1] for name in names), strict=False) if len(names) > 1 else ():
        if len(set(labels)) > 1:
            break
        shared.insert(0, labels[0])
    return "".join(f".{label}" for label in shared) if re.search("[A-Za-z]", "".join(shared)) else ""


def _next(row: Row, place: str, *, alone: bool) -> _Words | None:
    """What to type, of one machine or of any of several."""
    english = (row.why or row.meaning).next
    if not english:
        return None
    chinese = _chinese()["cause"][row.cause][1] if row.why else _chinese()["state"][row.state][2]
    machine = row.name if alone else "MACHINE"
    return {code: filled(text, machine, place) for code, text in (("en", english), ("zh", chinese))}


def _why(row: Row) -> _Words | None:
    return {"en": row.why.words, "zh": _chinese()["cause"][row.cause][0]} if row.why else None


def _word(state: str) -> _Words:
    return {"en": state, "zh": _chinese()["state"][state][0]}


def _colour(state: str) -> str:
    return _COLOURS.get(state, "plain" if states()[state].moving else "error")


def _tally(fleet: Fleet) -> list[tuple[_Words, str, int]]:
    found = Counter(row.state for row in fleet.machines)
    return [(_word(state), _colour(state), found[state]) for state in states() if found[state]]


def _trains(found: Mapping[str, Any]) -> bool | None:
    """Whether every env that was tried learned."""
    told = [env.get("trains") for env in found.get("envs") or () if env.get("trains") is not None]
    return all(told) if told else None


def _rate(row: Row) -> float | None:
    envs = (row.figures or {}).get("envs") or ()
    return next((float(env["train"]) for env in envs if env.get("train")), None)


def _past(folder: Path) -> Mapping[str, list[tuple[str, str]]]:
    """How each machine stood in earlier runs beside this one, the oldest first; a file that is none is left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    earlier = sorted(file for file in folder.absolute().parent.glob(f"*/{FILE}") if file.parent.name < folder.name)
    for file in earlier[-_RUNS:]:
        try:
            run = json.loads(read_limited(file, LARGEST))
            rows = [(str(row["name"]), str(row["state"])) for row in run["machines"]]
            when = str(run["started"])[:16].replace("T", " ")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        for name, state in rows:
            if state in states():
                found.setdefault(name, []).append((when, state))
    return found


@functools.cache
def _chinese() -> Mapping[str, Any]:
    return read_toml(Path(__file__).with_name("states_zh.toml"))
