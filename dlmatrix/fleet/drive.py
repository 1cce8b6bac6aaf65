"""Carries a fleet's run on until there is an answer for each machine, and keeps fleet.json true meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from dlmatrix.errors import DlmatrixError
from dlmatrix.fleet.protocol import Carrier
from dlmatrix.fleet.record import Fleet, read, write
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import AGAIN, WAITING

#: Receives the fleet whenever a machine has come further, and the machines that have.
Show = Callable[[Fleet, Mapping[str, Row]], None]


def carry_on(folder: Path, fleet: Fleet, carrier: Carrier, show: Show) -> Fleet:
    """Begin with machines that have no final answer, or go on with them; try once more those that got lost.

    fleet.json is written after each machine, so that nothing is lost however this ends. Raises EngineError where the
    engine itself failed: machines of which nothing was learned then stand as before.
    """
    asked = fleet.unfinished()
    before = {row.name: row for row in asked}
    fleet = write(folder, replace(fleet.with_rows({row.name: row.started_over() for row in asked}), ended=False))
    waiting = {row.name: row for row in fleet.machines if row.name in before}
    try:
        for number in (1, 2):
            rows = list(waiting.values())
            if rows:
                carrier.submit(rows, again=number == 1)
                tried = {} if number == 1 else {row.name: row.at(WAITING, step=AGAIN) for row in rows}
                fleet = _follow(folder, fleet, carrier, show, tried)
            waiting = {row.name: row for row in fleet.machines if row.name in before and row.tried_again}
    except DlmatrixError:
        fleet = read(folder)  # with each answer that came before
        moving = {row.name: before[row.name] for row in fleet.machines if row.meaning.moving and row.name in before}
        write(folder, replace(fleet.with_rows(moving), ended=True))
        raise
    except BaseException:
        carrier.leave()
        raise
    return write(folder, replace(fleet, ended=True))


def _follow(folder: Path, fleet: Fleet, carrier: Carrier, show: Show, tried: Mapping[str, Row]) -> Fleet:
    """Look until nothing changes any more; what is ``tried`` once more is shown so, until it is heard of."""
    while not carrier.over():
        changed = carrier.look()
        attempts = {row.name: row.attempts for row in fleet.machines}
        # What a killed command is to know: that checks began, and each answer.
        kept = any(not row.meaning.moving or row.attempts != attempts[row.name] for row in changed.values())
        fleet = fleet.with_rows(changed)
        if kept:
            fleet = write(folder, fleet)
        tried = {name: row for name, row in tried.items() if name not in changed}
        show(fleet.with_rows(tried), changed)
    return fleet


def end(folder: Path, fleet: Fleet, carrier: Carrier) -> Fleet:
    """End the checks on every machine that may still be at them."""
    rows = [row for row in fleet.machines if row.attempts and not row.meaning.final]
    found = carrier.stop(rows) if rows else {}
    return write(folder, replace(fleet.with_rows(found), ended=True))
