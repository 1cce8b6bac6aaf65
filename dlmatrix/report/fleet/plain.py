"""A fleet as text: Markdown, CSV and JUnit XML."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from dlmatrix.fleet.figures import cards, processor
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import states
from dlmatrix.report.junit import clean
from dlmatrix.system.markdown import cell
from dlmatrix.system.words import listed

COLUMNS = (
    *("machine", "kind", "state", "why", "GPU", "can train", "train img/s", "infer img/s", "driver"),
    *("seconds", "before"),
)
_CSV = (*COLUMNS, "next", "code", "attempts", "outlier")
_MARKS = {"passed": "✅", "failed": "❌", "skipped": "⏭️", "running": "⏳", "waiting": "⏳"}
_TAGS = {"passed": "", "failed": "failure", "skipped": "skipped"}
#: A cell that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t")


def cells(fleet: Fleet, row: Row) -> list[str]:
    """A machine's cells, in the order of COLUMNS; a dash for what is not known."""
    found = row.figures or {}
    envs = list(found.get("envs") or ())
    return [
        row.name,
        processor(found) or "-",
        row.state,
        row.reason or "-",
        cards(found) or "-",
        _several(envs, "trains", {True: "yes", False: "no", None: "-"}.__getitem__),
        _several(envs, "train", _rate),
        _several(envs, "infer", _rate),
        str(found.get("driver") or "-"),
        f"{row.seconds:.1f}" if row.seconds is not None else "-",
        "; ".join(row.before) or "-",
    ]


def counts(fleet: Fleet) -> str:
    """``30 machines: 17 passed, 1 hung, 12 unreachable``."""
    found = Counter(row.state for row in fleet.machines)
    told = ", ".join(f"{found[state]} {state}" for state in states() if found[state])
    return f"{len(fleet.machines)} machine{'s' * (len(fleet.machines) != 1)}: {told}"


def alike(fleet: Fleet, run: str) -> Iterator[tuple[str, Sequence[Row], str]]:
    """Machines that stand alike, how and why, and what is to be done about them; empty where nothing is."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in fleet.machines:
        groups.setdefault(stands(row), []).append(row)
    for rows in groups.values():
        words = ": ".join(filter(None, [rows[0].words, "" if rows[0].cause else rows[0].said]))
        yield words, rows, rows[0].next_step(run, alone=len(rows) == 1)


def stands(row: Row) -> tuple[str, str]:
    """What machines that stand alike have in common: the cause, else what was said, whatever numbers are in it."""
    return row.state, row.cause or re.sub(r"\d+", "#", "" if row.state == "passed" else row.said)


def together(findings: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str], str]]:
    """Findings, the machines of which the same is said, and what that is."""
    groups: dict[str, tuple[Mapping[str, Any], list[str], str]] = {}
    for found in findings:
        machine = str(found["machine"])
        words = str(found.get("words") or found["what"]).removeprefix(f"{machine}: ")
        # How far one is from the others is said of it alone.
        own = machine if "distance" in found else ""
        groups.setdefault(f"{own} {found['what']} {words}", (found, [], words))[1].append(machine)
    return list(groups.values())


def summary(fleet: Fleet, folder: str) -> str:
    """The fleet as Markdown: each machine, what stands out, and what to do, causes together."""
    lines = [f"# dlmatrix fleet: {cell(', '.join(fleet.envs))}", ""]
    lines += [f"{counts(fleet)}. Run {cell(fleet.run)}, by {fleet.engine}, begun {fleet.started}.", ""]
    lines += [f"- {cell(f'{listed(names)}: {words}')}" for _, names, words in together(fleet.findings)]
    lines += [""] * bool(fleet.findings)
    lines += ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in fleet.machines:
        name, kind, state, *rest = cells(fleet, row)
        marked = f"{_MARKS.get(state, '⚠️')} {state}"
        lines.append("| " + " | ".join([cell(name), cell(kind), marked, *map(cell, rest)]) + " |")
    for words, rows, step in alike(fleet, f"reports/fleet/{folder}"):
        if step:
            names = ", ".join(cell(row.name) for row in rows)
            lines += ["", f"**{len(rows)} \N{MULTIPLICATION SIGN} {cell(words)}** ({names}). Next: {cell(step)}"]
    return "\n".join(lines) + "\n"


def csv_text(fleet: Fleet, folder: str) -> str:
    """A line for each machine, after one with the names of the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    standing = {str(found["machine"]): str(found["what"]) for found in fleet.findings if found["certain"]}
    for row in fleet.machines:
        more = [row.next_step(f"reports/fleet/{folder}"), row.exit_code, row.attempts, standing.get(row.name, "")]
        writer.writerow([_plain("" if text == "-" else str(text)) for text in (*cells(fleet, row), *more)])
    return out.getvalue()


def junit(fleet: Fleet) -> ElementTree.Element:
    """One case for each machine that was asked for: what was not reached is an error, and never left out."""
    root = ElementTree.Element("testsuites")
    tags = [_TAGS.get(row.state, "error") for row in fleet.machines]
    seconds = sum(row.seconds or 0.0 for row in fleet.machines)
    attributes = {
        "id": "0",
        "package": "dlmatrix",
        "name": clean(f"fleet {fleet.run}"),
        "hostname": "localhost",
        "tests": str(len(tags)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "skipped": str(tags.count("skipped")),
        "timestamp": fleet.started[:19],
        "time": f"{seconds:.3f}",
    }
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    ElementTree.SubElement(suite, "properties")
    for row, tag in zip(fleet.machines, tags, strict=True):
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=clean(" ".join(fleet.envs)),
            name=clean(row.name),
            time=f"{row.seconds or 0.0:.3f}",
        )
        if tag:
            kind = {} if tag == "skipped" else {"type": row.state}
            ElementTree.SubElement(case, tag, kind | {"message": clean(f"{row.state}: {row.reason}")})
    ElementTree.SubElement(suite, "system-out")
    ElementTree.SubElement(suite, "system-err")
    return root


def _several(envs: list[Mapping[str, Any]], key: str, words: Any) -> str:
    """A figure of each env, once where all are alike."""
    return ", ".join(dict.fromkeys(words(env.get(key)) for env in envs)) or "-"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _plain(text: str) -> str:
    """A text for a spreadsheet, which obeys what begins like a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
