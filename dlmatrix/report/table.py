"""The run in the terminal: a table as wide as there is room for, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from dlmatrix.comparison import parity
from dlmatrix.document import rates
from dlmatrix.document.check import Outcome
from dlmatrix.document.fitness import CPU_ONLY, FIT, UNFIT, UNTRIED, WORDS, fitness, on_cpu
from dlmatrix.document.sizes import COMPRESSED, UNPACKED, sizes
from dlmatrix.matrix.model import Status
from dlmatrix.run.result import EnvResult

COLUMNS = (
    *("env", "verdict", "checks", "accuracy", "GPU", "train img/s", "infer img/s"),
    *("unpacked", "compressed", "seconds"),
)
#: Which columns stay where there is no room for all, the first the longest.
_ORDER = (
    "env",
    "verdict",
    "train img/s",
    "infer img/s",
    "accuracy",
    "GPU",
    "unpacked",
    "checks",
    "seconds",
    "compressed",
)
#: What a cell may take before its words are put on a second line.
_WIDEST = 16
_COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.ERROR: "red", Outcome.SKIPPED: "yellow"}
_DRIFTS = "from the same weights it computes other numbers than the other frameworks"
_FITNESS = {
    FIT: "fit for use: {names}",
    UNFIT: "not fit for use: {names}, because: {because}",
    CPU_ONLY: "fit on the CPU only: {names}, because: {because}",
    UNTRIED: "not tried: {names}, because: {because}",
}


def table(results: Sequence[EnvResult], width: int) -> Table:
    """The table for a terminal of that many columns; what has no room is in the report."""
    rows = [row(result) for result in results]
    shown = Table(header_style="bold")
    kept = _columns(rows, width)
    for number in kept:
        column = COLUMNS[number]
        shown.add_column(
            column, justify="left" if column in ("env", "verdict", "GPU") else "right", no_wrap=column == "env"
        )
    for result, cells in zip(results, rows, strict=True):
        coloured: list[str | Text] = list(cells)
        coloured[1] = Text(cells[1], style=_COLOURS[result.outcome])
        shown.add_row(*(coloured[number] for number in kept))
    return shown


def row(result: EnvResult) -> list[str]:
    """One env's cells, as text; a dash for what is not known."""
    document = result.document or {}
    checks = [check["outcome"] for check in document.get("checks", [])]
    accuracy = (document.get("training") or {}).get("test_accuracy")
    size = sizes({"facts": result.prepared.facts if result.prepared else {}}, {})
    where = " on the CPU" if on_cpu(result.env.name, document) else ""
    return [
        result.env.name,
        result.outcome.value + ("" if result.env.status is not Status.UNVERIFIED else " (unverified cell)"),
        f"{checks.count('passed')}/{len(checks)}" if checks else "-",
        f"{accuracy:.3f}{where}" if accuracy is not None else "-",
        _gpu(result),
        _speed(result, "train"),
        _speed(result, "infer"),
        _megabytes(size[UNPACKED]),
        _megabytes(size[COMPRESSED]),
        f"{sum(result.seconds.get(step, 0.0) for step in ('prepare', 'run')):.1f}" if result.seconds else "-",
    ]


def remarks(results: Sequence[EnvResult]) -> Iterator[str]:
    """What the table does not say: what to do next, a GPU's best rows and whether to rely on them, and parity.

    Then, last, which envs can be used, and why the others cannot.
    """
    for result in results:
        if result.prepared and (gpus := result.prepared.facts.get("GPUs")):
            yield f"{result.env.name}: GPUs: {gpus}"
        if result.next_step:
            yield f"{result.env.name}: next: {result.next_step}"
        yield from (f"{result.env.name}: {lead}" for lead in rates.leads(result.document))
        yield from (f"{result.env.name}: throughput: {mark}" for mark in rates.marks(result.document))
        if rates.alone(result.document):
            yield f"{result.env.name}: throughput: measured in one process, so its figures have no interval"
    agreement = parity.compare({result.env.name: result.document for result in results if result.document})
    if agreement.pairs:
        yield f"parity: {parity.describe(agreement)}"
    yield from fit_lines([as_env(result) for result in results], agreement.drifting)


def as_env(result: EnvResult) -> dict[str, Any]:
    """As much of an env's part of result.json as says how it went."""
    return {
        "name": result.env.name,
        "outcome": result.outcome.value,
        "exit_code": result.exit_code,
        "reason": result.reason,
    }


def fit_lines(envs: Sequence[Mapping[str, Any]], drifting: Sequence[str]) -> Iterator[str]:
    """Which envs are fit for use, and of the others which for what reason: a line for each reason."""
    for word, because, names in by_fitness(envs, drifting):
        yield _FITNESS[word].format(names=", ".join(names), because=because)


def by_fitness(envs: Sequence[Mapping[str, Any]], drifting: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """Word, because, and the names of the envs of which both are true; the fit first.

    ``drifting`` are the cells (``cpu-tf2-2.21 (graph)``) whose numbers are not those of the others: they fail a run.
    """
    found: dict[tuple[str, str], list[str]] = {}
    drift = {cell.partition(" ")[0] for cell in drifting}
    for env in envs:
        word, because = fitness(env)
        if word == FIT and env["name"] in drift:
            word, because = UNFIT, _DRIFTS
        found.setdefault((word, because), []).append(env["name"])
    order = sorted(found, key=lambda key: WORDS.index(key[0]))
    return [(word, because, found[word, because]) for word, because in order]


def _columns(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The numbers of the columns that there is room for; a GPU's only where one was asked for, an empty one last."""
    kept: list[int] = []
    room = width - 1
    empty = {name for name in COLUMNS if {cells[COLUMNS.index(name)] for cells in rows} == {"-"}}
    for name in sorted(_ORDER, key=empty.__contains__):
        number = COLUMNS.index(name)
        cells = [cells[number] for cells in rows]
        if name == "GPU" and not any(cells[0].startswith("gpu-") for cells in rows):
            continue
        wide = max(len(name), *(len(cell) if name == "env" else min(len(cell), _WIDEST) for cell in cells or [""])) + 3
        if wide > room:
            break
        kept.append(number)
        room -= wide
    return sorted(kept)


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:,.0f} MB" if size else "-"


def _gpu(result: EnvResult) -> str:
    """Whether the framework computed on a GPU: the worst outcome of the checks of that kind."""
    if result.env.variant == "cpu":
        return "-"
    outcomes = {c["outcome"] for c in (result.document or {}).get("checks", []) if c["kind"] == "detection"}
    worst = next((o.value for o in (Outcome.FAILED, Outcome.ERROR, Outcome.SKIPPED) if o.value in outcomes), None)
    return worst or ("used" if outcomes else "-")


def _speed(result: EnvResult, kind: str) -> str:
    found = rates.headline(result.document, kind)
    if not found:
        return "-"
    where = " on the CPU" if result.env.variant == "gpu" and found[1]["device"] == "cpu" else ""
    return f"{rates.median(found[1]):,.0f}{rates.share(found[1])}{where}"
