"""The files of a fleet's report, each of them whole or not at all, and what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from dlmatrix.errors import DiskFullError
from dlmatrix.fleet.record import Fleet
from dlmatrix.report.fleet.page import fleet_html
from dlmatrix.report.fleet.plain import COLUMNS, alike, cells, counts, csv_text, junit, summary, together
from dlmatrix.system.files import replace
from dlmatrix.system.words import listed

_COLOURS = {"passed": "green", "skipped": "yellow", "waiting": "dim", "running": "cyan"}
#: Which columns stay where there is no room for all, the first the longest.
_ORDER = ("machine", "state", "why", "train img/s", "can train", "GPU", "driver", "seconds", "before", "kind")
_WIDEST = 16


def write_fleet(folder: Path, fleet: Fleet) -> None:
    """Write fleet.html, summary.md, fleet.csv and junit.xml beside fleet.json. Raises DiskFullError."""
    try:
        replace(folder / "summary.md", summary(fleet, folder.name).encode("utf-8", "replace"))
        replace(folder / "fleet.csv", csv_text(fleet, folder.name).encode("utf-8", "replace"))
        replace(folder / "fleet.html", fleet_html(fleet, folder).encode("utf-8", "replace"))
        replace(folder / "junit.xml", ElementTree.tostring(junit(fleet), encoding="utf-8", xml_declaration=True))
    except OSError as error:
        raise DiskFullError(
            f"{folder}: the report could not be written whole: {error.strerror}",
            f"make room, then python -m dlmatrix fleet --resume {folder}",
        ) from None


def table(fleet: Fleet, width: int) -> Table:
    """The table for a terminal of that many columns: a row for each machine; what has no room is in fleet.csv."""
    rows = [dict(zip(COLUMNS, cells(fleet, row), strict=True)) for row in fleet.machines]
    kept: list[str] = []
    room = width - 1
    for column in _ORDER:
        needs = 3 + min(_WIDEST, max([len(column), *(len(row[column]) for row in rows)]))
        if any(row[column] not in ("", "-") for row in rows) and needs <= room:
            kept.append(column)
            room -= needs
    shown = Table(header_style="bold")
    kept = [column for column in COLUMNS if column in kept]
    for column in kept:
        number = column in ("train img/s", "infer img/s", "seconds")
        shown.add_column(column, justify="right" if number else "left", overflow="fold")
    for machine, row in zip(fleet.machines, rows, strict=True):
        colour = _COLOURS.get(machine.state, "red")
        shown.add_row(*(Text(row[column], style=colour if column == "state" else "") for column in kept))
    return shown


def lines(fleet: Fleet, folder: Path) -> Iterator[str]:
    """What is said after the table: how many stand how, who stands out, and what to do, each cause once."""
    yield counts(fleet)
    for _, names, words in together(fleet.findings):
        yield f"{listed(names)}: {words}"
    for words, rows, step in alike(fleet, str(folder)):
        if step:
            yield f"{listed(row.name for row in rows)}: {words}: next: {step}"
    yield f"report: {folder}"
