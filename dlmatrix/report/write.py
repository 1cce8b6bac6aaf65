"""A run as rows: the terminal's table, result.json, and the folder with all that shows a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from dlmatrix import __version__
from dlmatrix.comparison import parity, ratios
from dlmatrix.document import rates
from dlmatrix.document.check import Outcome
from dlmatrix.document.result import FILE, SCHEMA_VERSION
from dlmatrix.errors import DiskFullError, DlmatrixError
from dlmatrix.matrix.model import Status
from dlmatrix.report.history import History
from dlmatrix.report.junit import junit
from dlmatrix.report.summary import summary
from dlmatrix.run.result import EnvResult
from dlmatrix.system.files import replace
from dlmatrix.system.state import state_dir

COLUMNS = ("env", "verdict", "checks", "accuracy", "GPU", "train img/s", "infer img/s", "size", "seconds")
_COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.ERROR: "red", Outcome.SKIPPED: "yellow"}


def table(results: Sequence[EnvResult]) -> Table:
    """The table for the terminal."""
    shown = Table(header_style="bold")
    for column in COLUMNS:
        shown.add_column(
            column, justify="left" if column in ("env", "verdict", "GPU") else "right", no_wrap=column == "env"
        )
    for result in results:
        cells = row(result)
        shown.add_row(cells[0], Text(cells[1], style=_COLOURS[result.outcome]), *cells[2:])
    return shown


def row(result: EnvResult) -> list[str]:
    """One env's cells, as text; a dash for what is not known."""
    document = result.document or {}
    checks = [check["outcome"] for check in document.get("checks", [])]
    accuracy = (document.get("training") or {}).get("test_accuracy")
    size = (result.prepared.facts if result.prepared else {}).get("size")
    return [
        result.env.name,
        result.outcome.value + ("" if result.env.status is not Status.UNVERIFIED else " (unverified cell)"),
        f"{checks.count('passed')}/{len(checks)}" if checks else "-",
        f"{accuracy:.3f}" if accuracy is not None else "-",
        _gpu(result),
        _speed(document, "train"),
        _speed(document, "infer"),
        f"{int(size) / 1e6:.0f} MB" if size else "-",
        f"{sum(result.seconds.get(step, 0.0) for step in ('prepare', 'run')):.1f}" if result.seconds else "-",
    ]


def remarks(results: Sequence[EnvResult]) -> Iterator[str]:
    """What the table does not say: what to do next, a GPU's best rows and whether to rely on them, and parity."""
    for result in results:
        if result.prepared and (gpus := result.prepared.facts.get("GPUs")):
            yield f"{result.env.name}: GPUs: {gpus}"
        if result.next_step:
            yield f"{result.env.name}: next: {result.next_step}"
        yield from (f"{result.env.name}: {lead}" for lead in rates.leads(result.document))
        yield from (f"{result.env.name}: throughput: {mark}" for mark in rates.marks(result.document))
        if rates.alone(result.document):
            yield f"{result.env.name}: throughput: measured in one process, so its figures have no interval"
    agreement = parity_of(results)
    if agreement.pairs:
        yield f"parity: {parity.describe(agreement)}"


def write_report(
    root: Path, folder: Path, results: Sequence[EnvResult], data: Mapping[str, Any], past: History
) -> Path:
    """Write the files of the report, each of them whole or not at all, the result first.

    ``data`` is what ``as_json`` made of the results, ``past`` what earlier runs measured. Raises
    DiskFullError where one cannot be written; a result that has no room there goes to the working folder of ``root``.
    """
    from dlmatrix.report.page import report_html  # noqa: PLC0415 - what draws is not to delay the start of a run

    text = dumps(data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / FILE, text)
    except OSError as error:
        raise DiskFullError(
            f"{folder}: the report could not be written: {error.strerror}", _saved_elsewhere(root, folder, text)
        ) from None
    try:
        for result in results:
            if result.log:
                replace(folder / f"{result.env.name}.log", "\n".join(result.log) + "\n")
            if result.prepared and result.prepared.sbom:
                replace(folder / f"{result.env.name}.cdx.json", result.prepared.sbom)
        rows = [row(result) for result in results]
        markdown = summary(results, data["engine"], COLUMNS, rows, parity_of(results))
        replace(folder / "summary.md", markdown.encode("utf-8", "replace"))
        suites = ElementTree.tostring(
            junit(results, datetime.datetime.fromisoformat(data["started"])), encoding="utf-8", xml_declaration=True
        )
        replace(folder / "junit.xml", suites)
        replace(folder / "report.html", report_html(text, past))
    except OSError as error:
        raise DiskFullError(
            f"{folder}: the report could not be written whole: {error.strerror}",
            f"make room, then write its page from its result.json: python -m dlmatrix page {folder}",
        ) from None
    return folder


def _saved_elsewhere(root: Path, folder: Path, text: str) -> str:
    """Write a result that its folder has no room for to where there may be some; returns what to do next."""
    try:
        spare = state_dir(root) / "reports" / folder.absolute().name
        spare.mkdir(parents=True, exist_ok=True)
        replace(spare / FILE, text)
    except (OSError, DlmatrixError):
        return "make room, then run it again"
    return f"its {FILE} is in {spare}: make room, then write its page: python -m dlmatrix page {spare}"


def dumps(data: Mapping[str, Any]) -> str:
    """The text of result.json; a number that JSON has no word for is a string there."""
    return json.dumps(_finite(data), indent=1) + "\n"


def as_json(results: Sequence[EnvResult], engine: Mapping[str, str], started: datetime.datetime) -> dict[str, Any]:
    """The whole run for machines."""
    finished = datetime.datetime.now(datetime.timezone.utc)
    members = [ratios.Member(env=r.env.name, series=r.env.series, document=r.document) for r in results if r.document]
    return {
        "schema_version": SCHEMA_VERSION,
        "dlmatrix": __version__,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "engine": dict(engine),
        "host": {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "envs": [_env_json(result) for result in results],
        "parity": dataclasses.asdict(parity_of(results)),
        "ratios": ratios.of_run(members, engine["engine"]),
    }


def parity_of(results: Sequence[EnvResult]) -> parity.ParityMatrix:
    """What the frameworks of a run computed from the same weights and images, pairwise."""
    return parity.compare({result.env.name: result.document for result in results if result.document})


def _env_json(result: EnvResult) -> dict[str, Any]:
    return {
        "name": result.env.name,
        "outcome": result.outcome.value,
        "exit_code": result.exit_code,
        "reason": result.reason,
        "next_step": result.next_step,
        "status": result.env.status.value,
        "built": result.prepared.built if result.prepared else None,
        "facts": dict(result.prepared.facts) | {"what": result.prepared.what} if result.prepared else {},
        "layers": [dict(layer) for layer in result.prepared.layers] if result.prepared else [],
        "seconds": {step: round(value, 3) for step, value in result.seconds.items()},
        "document": result.document,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _gpu(result: EnvResult) -> str:
    """Whether the framework computed on a GPU: the worst outcome of the checks of that kind."""
    if result.env.variant == "cpu":
        return "-"
    outcomes = {c["outcome"] for c in (result.document or {}).get("checks", []) if c["kind"] == "detection"}
    worst = next((o.value for o in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED) if o.value in outcomes), None)
    return worst or ("used" if outcomes else "-")


def _speed(document: Mapping[str, Any], kind: str) -> str:
    found = rates.headline(document, kind)
    return f"{rates.median(found[1]):,.0f}{rates.share(found[1])}" if found else "-"
