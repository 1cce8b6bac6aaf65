"""The run for people who paste: Markdown with the verdicts first and the details folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlmatrix.comparison import parity
from dlmatrix.document import rates
from dlmatrix.document.check import Outcome
from dlmatrix.document.sizes import COMPRESSED, UNPACKED
from dlmatrix.report.machine import parts
from dlmatrix.report.table import as_env, fit_lines
from dlmatrix.run.result import EnvResult
from dlmatrix.system.markdown import cell

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
    lines = ["# dlmatrix report", "", f"Engine: {cell(engine)}.", ""]
    if about := [f"{key} {words}" if key == "driver" else words for key, words in parts(data["host"])]:
        lines += [f"Machine: {cell(', '.join(about))}.", ""]
    lines += [
        *(f"- {cell(line)}" for line in fit_lines([as_env(result) for result in results], agreement.drifting)),
        "",
    ]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for result, (name, verdict, *cells) in zip(results, rows, strict=True):
        lines.append("| " + " | ".join([name, f"{_MARKS[result.outcome]} {verdict}", *map(cell, cells)]) + " |")
    lines += ["", f"Parity: {cell(parity.describe(agreement))}."]
    for result in results:
        if result.outcome is not Outcome.PASSED:
            lines += ["", f"**{result.env.name}: {result.outcome.value}.** {cell(result.reason)}"]
            lines += ["", f"Next: {cell(result.next_step)}"] if result.next_step else []
        for lead in rates.leads(result.document):
            lines += ["", f"**{result.env.name}**: {cell(lead)}"]
        for mark in rates.marks(result.document):
            lines += ["", f"**{result.env.name}: throughput**: {cell(mark)}"]
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
    yield cell(result.reason)
    if result.env.reason:
        yield from ("", f"Cell is {result.env.status.value}: {cell(result.env.reason)}.")
    if result.prepared:
        yield from ("", *(_fact(key, value) for key, value in result.prepared.facts.items()))
        yield from (
            f"- layer: {cell(str(layer['step']))}: {int(layer['bytes']) / 1e6:,.1f} MB"
            for layer in result.prepared.layers
        )
    if result.document:
        yield from ("", "| check | outcome | seconds | detail |", "|---|---|---|---|")
        for check in result.document["checks"]:
            detail = cell(check.get("reason") or check["asserts"])
            yield f"| {cell(check['id'])} | {check['outcome']} | {check['seconds']:.2f} | {detail} |"
    yield from ("", "</details>")


def _fact(key: str, value: str | int) -> str:
    if key in (UNPACKED, COMPRESSED):
        return f"- image, {key.removesuffix('_bytes')}: {int(value) / 1e6:,.0f} MB"
    return f"- {key}: {cell(str(value))}"
