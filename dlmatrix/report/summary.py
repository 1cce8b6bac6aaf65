"""The run for people who paste: Markdown with the verdicts first and the details folded."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlmatrix.comparison import parity
from dlmatrix.document import rates
from dlmatrix.document.check import Outcome
from dlmatrix.document.sizes import COMPRESSED, UNPACKED
from dlmatrix.report.machine import parts
from dlmatrix.report.table import as_env, fit_lines
from dlmatrix.run.result import EnvResult

_MARKS = {Outcome.PASSED: "✅", Outcome.FAILED: "❌", Outcome.ERROR: "⚠️", Outcome.SKIPPED: "⏭️"}
#: An issue takes 65,536 characters; what went well is in report.html as well.
_ROOM = 60_000


def summary(
    results: Sequence[EnvResult],
    data: Mapping[str, Any],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    agreement: parity.ParityMatrix,
) -> str:
    """The run as Markdown; ``data`` is its result.json, ``rows`` the cells of its table, one row for each result."""
    engine = ", ".join(f"{k} {v}" for k, v in data["engine"].items())
    lines = ["# dlmatrix report", "", f"Engine: {_cell(engine)}.", ""]
    if about := [f"{key} {words}" if key == "driver" else words for key, words in parts(data["host"])]:
        lines += [f"Machine: {_cell(', '.join(about))}.", ""]
    lines += [
        *(f"- {_cell(line)}" for line in fit_lines([as_env(result) for result in results], agreement.drifting)),
        "",
    ]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for result, (name, verdict, *cells) in zip(results, rows, strict=True):
        lines.append("| " + " | ".join([name, f"{_MARKS[result.outcome]} {verdict}", *map(_cell, cells)]) + " |")
    lines += ["", f"Parity: {_cell(parity.describe(agreement))}."]
    for result in results:
        if result.outcome is not Outcome.PASSED:
            lines += ["", f"**{result.env.name}: {result.outcome.value}.** {_cell(result.reason)}"]
            lines += ["", f"Next: {_cell(result.next_step)}"] if result.next_step else []
        for lead in rates.leads(result.document):
            lines += ["", f"**{result.env.name}**: {_cell(lead)}"]
        for mark in rates.marks(result.document):
            lines += ["", f"**{result.env.name}: throughput**: {_cell(mark)}"]
    text = "\n".join(lines) + "\n"
    for result in results:
        details = "\n".join(_details(result)) + "\n"
        if len(text) + len(details) > _ROOM:
            return text + "\nThe details of the envs that are not here are in report.html and result.json.\n"
        text += details
    return text


def _details(result: EnvResult) -> Iterator[str]:
    """An env's facts and checks, folded; the empty lines make GitHub read Markdown inside."""
    yield from ("", f"<details><summary>{result.env.name}: {result.outcome.value}</summary>", "")
    yield _cell(result.reason)
    if result.env.reason:
        yield from ("", f"Cell is {result.env.status.value}: {_cell(result.env.reason)}.")
    if result.prepared:
        yield from ("", *(_fact(key, value) for key, value in result.prepared.facts.items()))
        yield from (
            f"- layer: {_cell(str(layer['step']))}: {int(layer['bytes']) / 1e6:,.1f} MB"
            for layer in result.prepared.layers
        )
    if result.document:
        yield from ("", "| check | outcome | seconds | detail |", "|---|---|---|---|")
        for check in result.document["checks"]:
            detail = _cell(check.get("reason") or check["asserts"])
            yield f"| {_cell(check['id'])} | {check['outcome']} | {check['seconds']:.2f} | {detail} |"
    yield from ("", "</details>")


def _fact(key: str, value: str | int) -> str:
    if key in (UNPACKED, COMPRESSED):
        return f"- image, {key.removesuffix('_bytes')}: {int(value) / 1e6:,.0f} MB"
    return f"- {key}: {_cell(str(value))}"


def _cell(text: str) -> str:
    """A framework's text on one line of a table: nothing in it is HTML, a cell's end or a mention of somebody."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return html.escape(line, quote=False).replace("|", "\\|").replace("@", "@\u200b")
