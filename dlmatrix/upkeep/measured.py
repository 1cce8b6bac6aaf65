"""Keeps docs/matrix.md: what building and running each env gave, when, and on what."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.document.check import Outcome
from dlmatrix.document.result import read_result
from dlmatrix.document.sizes import COMPRESSED, sizes
from dlmatrix.errors import ConfigError, ReportError
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.system.files import replace

Row = dict[str, Any]

_TABLE = re.compile(r"(<!-- measured: [^>]*-->\n).*?(<!-- end of measured -->)", re.DOTALL)
_HEAD = "| env | outcome | image, compressed | build | checks | accuracy | libraries | measured |"


def record(matrix: Matrix, reports: Iterable[Path]) -> list[str]:
    """Take the rows of report folders into docs/measured.json and the table of docs/matrix.md.

    Only runs on a Docker engine count. An env keeps its newest row, and the build seconds of its newest build; a
    run that came to no result takes nobody's place. A first passing run removes the mark of an unverified env from
    its file. Returns the names of the envs that were taken in; raises UsageError or ReportError for a folder that
    is no report.
    """
    data, page = matrix.root / "docs" / "measured.json", matrix.root / "docs" / "matrix.md"
    rows: dict[str, Row] = json.loads(data.read_text(encoding="utf-8")) if data.is_file() else {}
    taken: list[str] = []
    for folder in reports:
        for name, row in rows_of(folder).items():
            old = rows.get(name)
            if old and (old["date"] > row["date"] or (_told(old) and not _told(row))):
                continue
            if row["build_seconds"] is None and old:
                row["build_seconds"] = old["build_seconds"]
            rows[name] = row
            taken.append(name)
    passed = {name for name in taken if rows[name]["outcome"] == Outcome.PASSED.value}
    matrix = dataclasses.replace(matrix, envs=tuple(_verified(e) if e.name in passed else e for e in matrix.envs))
    text, count = _TABLE.subn(
        lambda found: f"{found[1]}{markdown(matrix, rows)}\n{found[2]}", page.read_text(encoding="utf-8")
    )
    if count != 1:
        raise ConfigError(f"{page}: the marks of the table are missing", "restore them from git")
    replace(data, json.dumps(rows, indent=1, sort_keys=True) + "\n")
    replace(page, text)
    return taken


def _told(row: Row) -> bool:
    """Whether the checks ran and came to a result: an error says nothing about the env."""
    return row["check_seconds"] is not None and row["outcome"] != Outcome.ERROR.value


def rows_of(folder: Path) -> dict[str, Row]:
    """The rows of one report, by env; empty where it ran on something else than Docker."""
    report = read_result(folder).data
    engine = report["engine"]
    if engine["engine"] != "docker":
        return {}
    try:
        machine = f"Docker {engine['version']}, {engine['cpus']} CPUs, {int(engine['memory']) >> 30} GiB"
    except (KeyError, ValueError) as error:
        raise ReportError(
            f"{folder}: engine: {error!r} is missing or no number", "name a folder that run wrote"
        ) from None
    rows = {}
    for env in report["envs"]:
        try:
            rows[env["name"]] = _row(env, engine, report["started"], machine)
            _figures(rows[env["name"]])
        except (KeyError, TypeError, ValueError, AttributeError) as error:  # a document may be of any version
            what = f"{folder}: {env['name']}: what its checks found cannot be told ({error!r})"
            raise ReportError(what, "run it again") from None
    return rows


def _row(env: Mapping[str, Any], engine: Mapping[str, Any], started: str, machine: str) -> Row:
    document = env["document"] or {}
    training = document.get("training") or {}
    closure = next((c for c in document.get("checks", ()) if c["id"] == "library-closure"), None)
    return {
        "outcome": env["outcome"],
        "reason": env["reason"],
        "image_bytes": sizes(env, engine)[COMPRESSED],
        "build_seconds": env["seconds"].get("prepare") if env["built"] else None,
        "check_seconds": env["seconds"].get("run"),
        "accuracy": training.get("test_accuracy"),
        "libraries": f"{closure['found']['objects']} objects, {closure['outcome']}" if closure else None,
        "date": started,
        "machine": machine,
    }


def _verified(env: Env) -> Env:
    """The env without the mark that no run has confirmed it, which its file loses too."""
    if env.status is not Status.UNVERIFIED:
        return env
    before, table, after = env.file.read_text(encoding="utf-8").partition(f"\n[{env.variant}]\n")
    replace(env.file, before + table + re.sub(r"^status = .*\nreason = .*\n", "", after, count=1, flags=re.MULTILINE))
    return dataclasses.replace(env, status=Status.SUPPORTED, reason="")


def markdown(matrix: Matrix, rows: Mapping[str, Row]) -> str:
    """The table: every cell of the matrix, measured or not, in the matrix's order."""
    lines = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1)]
    lines += [_line(env, rows.get(env.name)) for env in matrix.envs]
    machines = sorted({row["machine"] for row in rows.values()})
    return "\n".join([*lines, "", f"Measured on: {'; '.join(machines) or 'nothing yet'}."])


def _line(env: Env, row: Row | None) -> str:
    if env.status is Status.IMPOSSIBLE or row is None:
        why = env.reason or "not measured yet"
        return f"| {env.name} | {env.status.value}: {_cell(why)} |" + " - |" * 6
    # What was found and the cause's name; the remedy after them is for the report.
    why = "" if row["outcome"] == "passed" else f": {'; '.join(_cell(row['reason']).split('; ')[:2])}"
    mark = f" ({env.status.value})" if env.status is not Status.SUPPORTED else ""
    return f"| {' | '.join([f'{env.name}{mark}', row['outcome'] + why, *_figures(row)])} |"


def _figures(row: Row) -> list[str]:
    return [
        _number(row["image_bytes"], 1_000_000, " MB"),
        _number(row["build_seconds"], 1, " s"),
        _number(row["check_seconds"], 1, " s"),
        f"{row['accuracy']:.3f}" if row["accuracy"] is not None else "-",
        row["libraries"] or "-",
        row["date"][:10],
    ]


def _number(value: float | None, unit: int, name: str) -> str:
    return "-" if value is None else f"{value / unit:,.0f}{name}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")
