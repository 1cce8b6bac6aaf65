"""A run as result.json, and the folder with all that shows a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dlmatrix import __version__
from dlmatrix.comparison import parity, ratios
from dlmatrix.document.result import FILE, SCHEMA_VERSION
from dlmatrix.errors import DiskFullError, DlmatrixError
from dlmatrix.report.history import History
from dlmatrix.report.junit import junit
from dlmatrix.report.summary import summary
from dlmatrix.report.table import COLUMNS, row
from dlmatrix.run.result import EnvResult
from dlmatrix.system.files import replace
from dlmatrix.system.state import state_dir


def write_report(
    root: Path, folder: Path, results: Sequence[EnvResult], data: Mapping[str, Any], past: History
) -> Path:
    """Write the files of the report, each of them whole or not at all, the result first.

    ``data`` is what ``as_json`` made of the results, ``past`` what earlier runs measured. Raises
    DiskFullError where one cannot be written; a result that has no room there goes to the working folder of ``root``.
    """
    from dlmatrix.report.page import report_html  # noqa: PLC0415 - what draws is not to delay the start of a run

    text = dumps(data)

    def others() -> Iterator[tuple[str, str | bytes]]:
        for result in results:
            if result.log:
                yield f"{result.env.name}.log", "\n".join(result.log) + "\n"
            if result.prepared and result.prepared.sbom:
                yield f"{result.env.name}.cdx.json", result.prepared.sbom
        rows = [row(result) for result in results]
        yield "summary.md", summary(results, data, COLUMNS, rows, parity_of(results)).encode("utf-8", "replace")
        suites = junit(results, datetime.datetime.fromisoformat(data["started"]), data["host"].get("name"))
        yield "junit.xml", ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
        yield "report.html", report_html(text, past, folder)

    return write_files(root, folder, text, others())


def write_files(root: Path, folder: Path, text: str, others: Iterable[tuple[str, str | bytes]]) -> Path:
    """Write a result.json, then the other files of a report by their names. Raises DiskFullError as above."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / FILE, text)
    except OSError as error:
        raise DiskFullError(
            f"{folder}: the report could not be written: {error.strerror}", _saved_elsewhere(root, folder, text)
        ) from None
    try:
        for name, content in others:
            replace(folder / name, content)
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


def as_json(
    results: Sequence[EnvResult],
    engine: Mapping[str, str],
    started: datetime.datetime,
    host: Mapping[str, Any],
    *,
    measuring: str = "",
) -> dict[str, Any]:
    """The whole run for machines; ``host`` is the machine (``system.host``), ``measuring`` what was to be measured."""
    finished = datetime.datetime.now(datetime.timezone.utc)
    members = [ratios.Member(env=r.env.name, series=r.env.series, document=r.document) for r in results if r.document]
    return {
        "schema_version": SCHEMA_VERSION,
        "dlmatrix": __version__,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "engine": dict(engine),
        "host": dict(host),
        "measuring": measuring,
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
