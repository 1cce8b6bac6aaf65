"""What the doctor shows: a tree of layers, the causes with their remedies, and what would work instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from dlmatrix.errors import typed
from dlmatrix.gpu.diagnosis import Cause, LayerState, headline
from dlmatrix.gpu.diagnosis.predicates.state import foreign
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.examination import Examination
from dlmatrix.gpu.instead import Instead
from dlmatrix.system.console import ShowingConsole

_WORDS = {
    "usable": "the GPU can be used",
    "no-gpu": "no GPU here",
    "unusable": "a GPU is here and cannot be used",
    "unknown": "could not look",
}
_MARKS = {"works": ("✓", "ok", "green"), "broken": ("✗", "x", "red"), "unknown": ("–", "-", "dim")}  # noqa: RUF001


def as_json(examination: Examination, instead: Instead) -> dict[str, Any]:
    """Everything, for machines."""
    launch = examination.launch
    return {
        "schema_version": 1,
        "env": examination.env,
        "engine": examination.engine,
        "exit_code": examination.exit_code,
        **examination.diagnosis.as_dict(),
        "verdict": examination.verdict,
        "headline": headline(examination.diagnosis),
        "unreached": examination.unreached,
        "would_work": list(instead.envs),
        "would_work_engine": instead.engine,
        "launch": None if launch is None else asdict(launch),
        "facts": {"host": examination.host, "inside": examination.inside},
    }


def show(examination: Examination, instead: Instead, console: Console | None = None) -> None:
    """Print the tree, then the causes, then what could not be looked at."""
    console = console or doctors_console()
    about = f"{examination.env or 'this machine'}, engine {examination.engine}"
    style = {"usable": "bold green", "unknown": "bold yellow"}.get(examination.verdict, "bold red")
    title = Text.assemble((_WORDS[examination.verdict], style), f": {about}")
    tree = tree_of(title, examination.diagnosis.layers, console)
    if examination.launch and examination.launch.gpus:
        tree.add(Text(f"the container was given {examination.launch.gpus}"))
    view = View(examination.inside or examination.host, place="host")
    for line in [*_gpus(view), *_framework(view)]:
        tree.add(Text(line))
    console.print(tree, highlight=False)
    for number, cause in enumerate(examination.diagnosis.causes):
        _show_cause(console, "cause" if number == 0 else "also", cause)
    for cause in examination.diagnosis.warnings:
        _show_cause(console, "warning", cause)
    for spot in examination.diagnosis.blind:
        _row(console, "not seen", f"{spot.what} ({spot.place}: {spot.why}); it would tell {spot.tells}", "dim")
    if examination.unreached:
        _row(console, "not seen", f"the inside of the env: {typed(examination.unreached)}", "yellow")
    if instead.envs:
        engine = f", each with --engine {instead.engine}" if instead.engine else ""
        _row(console, "instead", f"what would work on this machine: {', '.join(instead.envs)}{engine}", "")


def tree_of(title: Text, states: Iterable[LayerState], console: Console) -> Tree:
    """The layers below the places that they are of."""
    tree = Tree(title)
    places: dict[str, Tree] = {}
    for state in states:
        branch = places.get(state.place) or tree.add(state.place)
        places[state.place] = branch
        branch.add(_line(state, console))
    return tree


def _gpus(view: View) -> Iterator[str]:
    """One line for each GPU that NVML tells of; memory in GiB, power in watts."""
    for row in view.rows("nvml.devices"):
        pair = row.get("compute_capability")
        known = {
            "compute capability": ".".join(map(str, pair)) if isinstance(pair, list) else "",
            "memory": _of(row.get("memory.free"), row.get("memory.total"), 2**30, "GiB free"),
            "power": _of(row.get("power.draw"), row.get("power.limit"), 1, "W"),
            "PCIe generation": _of(row.get("pcie.generation"), row.get("pcie.max_generation"), 1, ""),
            "width": _of(row.get("pcie.width"), row.get("pcie.max_width"), 1, ""),
            "MIG instances": str(len(row.words("mig.instances")) or ""),
            "processes": str(len(foreign(row.all("processes.*.pid"), view)) or ""),
        }
        facts = ", ".join(f"{word} {value}" for word, value in known.items() if value)
        yield f"GPU {row.get('index')}: {row.text('name') or 'does not answer'}" + (f", {facts}" if facts else "")


def _framework(view: View) -> Iterator[str]:
    """Which file the framework came from, its copies that are not used, and what its user has set for it."""
    if file := view.text("framework.file"):
        yield f"{view.text('framework.name')} {view.text('framework.version')} comes from {file}"
    for words in view.words("framework.copies.shadowed"):
        yield f"not used: {words}"
    settings = view.get("framework.settings")
    if isinstance(settings, dict) and settings:
        shown = ", ".join(f"{name} {value}" if "/" in name else f"{name}={value}" for name, value in settings.items())
        yield f"set for the framework, and not by it: {shown}"


def _of(now: object, best: object, unit: int, word: str) -> str:
    if not isinstance(now, (int, float)) or not isinstance(best, (int, float)):
        return ""
    return f"{now / unit:.3g} of {best / unit:.3g} {word}".rstrip()


def doctors_console() -> Console:
    """Where no terminal says how wide it is, wide enough for the tree."""
    console = ShowingConsole()
    return console if console.is_terminal else ShowingConsole(width=160)


def _line(state: LayerState, console: Console) -> Text:
    sign, plain, colour = _MARKS[state.state]
    mark = sign if console.encoding.lower().startswith("utf") else plain
    detail = state.detail.splitlines()[0][:200] if state.detail else ""
    return Text.assemble((f"{mark} ", colour), f"{state.layer:<16}", (detail, "" if state.state == "broken" else "dim"))


def _show_cause(console: Console, word: str, cause: Cause) -> None:
    console.print()
    label = f"{cause.label}{' (possible)' if cause.possible else ''}"
    _row(console, word, f"{label}: {cause.title}", "bold")
    for line in cause.evidence:
        _row(console, "evidence", line.strip(), "")
    _row(console, "remedy", typed(cause.remedy), "green" if word != "warning" else "yellow")
    for other, command in cause.apart:
        _row(console, "or", f"{other}? tell them apart: {command}", "")
    _row(console, "source", cause.source, "dim")


def _row(console: Console, word: str, text: str, style: str) -> None:
    line = Text.assemble((f"{word:<9}", "dim"), (text, style))
    console.print(line, highlight=False, soft_wrap=True)
