"""What came of a replay, for people and programs: lines, a diff of the guide, a Dockerfile, an env file, JSON."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.errors import shown
from dlmatrix.guides.classify import RUN
from dlmatrix.guides.edits import Edit, applied
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.play import Played, Replay
from dlmatrix.guides.replay import Verdict
from dlmatrix.guides.search import Search
from dlmatrix.guides.show import step_data
from dlmatrix.matrix.model import Matrix
from dlmatrix.system.markdown import cell, one_line


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A guide, its steps, the replay of it as it is, its verdict, and the search where there was one."""

    guide: Guide
    steps: tuple[Step, ...]
    replay: Replay
    verdict: Verdict
    search: Search | None
    #: the env of the matrix that has the framework in the version that it brings; empty where none has
    env: str

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The smallest change that was found."""
        return (self.search.found or ()) if self.search else ()

    @property
    def kind(self) -> str:
        """The verdict in one word or two, for programs."""
        return "broken, mended" if self.edits else self.verdict.kind


def played_lines(one: Played) -> Iterator[str]:
    """A step as it ends, for the terminal."""
    first = shown(one.step.text).strip().split("\n")[0]
    seconds = f"{one.seconds:5.1f} s" if one.seconds else " " * 7
    yield f"line {one.step.line:<5} {one.outcome:<9}{seconds}  {first[:90]}"
    for note in (*one.notes, one.reason):
        if note and one.outcome != "skipped":
            yield f"{'':30}{shown(note)[:300]}"


def outcome_lines(outcome: Outcome) -> Iterator[str]:
    """The verdict, the first break, and the change with which it works."""
    replay = outcome.replay
    yield ""
    yield f"Python {replay.asked}, pip {replay.pip}"
    yield f"verdict: {shown(_words(outcome))}"
    if broken := replay.first_break:
        yield f"first break: line {broken.line or broken.step.line}: {shown(broken.step.text.strip().splitlines()[0])}"
        yield f"    {shown(broken.reason)}"
    if outcome.search:
        for tried in outcome.search.tried:
            mark = "works" if tried.works else "not enough"
            yield f"tried, {mark}: {shown('; '.join(e.words for e in tried.edits))}"
            if not tried.works:
                yield f"    {shown(tried.words)[:200]}"
    if outcome.edits:
        yield "the change:"
        yield from (f"    {shown(line)}" for line in diff(outcome.guide, outcome.steps, outcome.edits).splitlines())
    if outcome.env:
        yield f"env of the matrix: {outcome.env}"


def _words(outcome: Outcome) -> str:
    if outcome.edits:
        return f"{outcome.verdict.words}; mended by {', '.join(edit.words for edit in outcome.edits)}"
    if outcome.search is not None and outcome.verdict.kind == "broken":
        return f"{outcome.verdict.words}; nothing that was tried mends it"
    return outcome.verdict.words


def diff(guide: Guide, steps: Sequence[Step], edits: Sequence[Edit]) -> str:
    """The change as a diff of the guide; of the repaired step where the guide itself cannot be read as it stands."""
    text = guide.text
    apart: list[str] = []
    for before, after in zip(steps, applied(steps, edits), strict=True):
        if before.text == after.text:
            continue
        changed = None if before.repairs or guide.format == "notebook" else _changed(text, before, after)
        if changed is None:
            apart += _unified(f"{guide.file.name}, line {before.line}", before.text, after.text)
        else:
            text = changed
    found = _unified(guide.file.name, guide.text, text) if text != guide.text else []
    python = next((edit.python for edit in reversed(edits) if edit.python), "")
    named = [f"with Python {python}"] if python else []
    return "\n".join([*named, *found, *apart]) + "\n"


def _unified(name: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=1)
    return list(lines)


def _changed(text: str, before: Step, after: Step) -> str | None:
    """A guide's text with a step's lines changed where they stand; None where they are not found."""
    lines = text.split("\n")
    old, new = before.text.splitlines(), after.text.splitlines()
    at = before.line - 1
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        anchor = old[i].strip() if tag != "insert" else old[i - 1].strip() if i else ""
        place = next((n for n in range(at, len(lines)) if anchor and anchor in lines[n]), None)
        if place is None:
            return None
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        if tag == "insert":
            lines[place + 1 : place + 1] = [indent + one for one in new[k:m]]
        elif j - i == m - k:
            for offset in range(j - i):
                lines[place + offset] = lines[place + offset].replace(old[i + offset].strip(), new[k + offset].strip())
        else:
            return None
    return "\n".join(lines)


def dockerfile(outcome: Outcome) -> str:
    """What was carried out, the change made, as a Dockerfile."""
    replay = (outcome.search.replay if outcome.search else None) or outcome.replay
    lines = [f"# {outcome.guide.file.name}, as it was replayed: {_words(outcome)}".replace("\n", " ")]
    lines += [f"FROM python:{replay.python}-slim", "WORKDIR /guide"]
    for number, one in enumerate(replay.played):
        if one.outcome != "passed" or not one.ran:
            continue
        if one.step.form == "shell":
            lines += [f"RUN <<'STEP-{number}'", one.ran, f"STEP-{number}"]
        else:
            name = f"program-{number}.py"
            lines += [
                f"COPY <<'STEP-{number}' {name}",
                one.step.text.strip("\n"),
                f"STEP-{number}",
                f"RUN python {name}",
            ]
    return "\n".join(["# syntax=docker/dockerfile:1", *lines]) + "\n"


_SERIES = (("torch", "torch"), ("tensorflow", "tf"), ("tensorflow-cpu", "tf"))


def env_file(replay: Replay) -> str:
    """What the guide installs as a file for envs/, where it is a framework that the matrix knows; else nothing."""
    for name, family in _SERIES:
        if version := replay.installed.get(name):
            plain = version.partition("+")[0]
            series = "torch" if family == "torch" else "tf1" if plain.startswith("1.") else "tf2"
            more = [
                f"{other}=={replay.installed[other]}" for other in ("numpy", "protobuf") if other in replay.installed
            ]
            wanted = ", ".join(f'"{one}"' for one in (f"{name}=={version}", *more))
            return (
                f'series = "{series}"\nversion = "{plain}"\npython = "{replay.python}"\n\n'
                f"[cpu]\nrequirements = [{wanted}]\nsize-budget-mb = 3000\n"
            )
    return ""


def nearest_env(matrix: Matrix, replay: Replay) -> str:
    """The env of the matrix that has the framework in the version that the guide brings; nothing where none has."""
    for name, family in _SERIES:
        if version := replay.installed.get(name):
            minor = ".".join(version.split(".")[:2])
            series = ("torch",) if family == "torch" else ("tf1", "tf2")
            for env in matrix.envs:
                if env.variant == "cpu" and env.series in series and env.short == minor:
                    return env.name
    return ""


def as_json(outcome: Outcome) -> str:
    """All of it for programs."""
    replay = outcome.replay
    broken = replay.first_break
    data: dict[str, Any] = {
        "schema_version": 1,
        "guide": outcome.guide.file.name,
        "format": outcome.guide.format,
        "language": outcome.guide.language,
        "verdict": outcome.kind,
        "words": _words(outcome),
        "python": replay.asked,
        "pip": replay.pip,
        "env": outcome.env,
        "first_break": _break(broken) if broken else None,
        "substitution": [
            {"words": e.words, "name": e.name, "source": e.source, "python": e.python} for e in outcome.edits
        ],
        "diff": diff(outcome.guide, outcome.steps, outcome.edits) if outcome.edits else "",
        "tried": [
            {"words": "; ".join(e.words for e in t.edits), "works": t.works, "said": t.words}
            for t in (outcome.search.tried if outcome.search else [])
        ],
        "steps": [
            step_data(one.step) | {"outcome": one.outcome, "reason": one.reason, "seconds": round(one.seconds, 2),
                                   "notes": list(one.notes), "said": one.said[-4000:]}
            for one in replay.played
        ],
        "installed": dict(replay.installed),
    }  # fmt: skip
    return json.dumps(data, indent=2) + "\n"


def _break(broken: Played) -> dict[str, Any]:
    return {"line": broken.line or broken.step.line, "step": broken.step.text, "reason": broken.reason}


def summary(outcome: Outcome) -> str:
    """The same as Markdown, to paste."""
    lines = [f"# {cell(outcome.guide.file.name)}", "", f"**{cell(_words(outcome))}**", ""]
    lines += [f"Python {outcome.replay.asked}, pip {outcome.replay.pip}.", ""]
    lines += ["| line | step | outcome | |", "|---|---|---|---|"]
    for one in outcome.replay.played:
        if one.step.kind in RUN or one.outcome == "unjudged":
            why = cell("; ".join([*one.notes, one.reason]).strip("; ")[:200])
            lines.append(f"| {one.step.line} | {_code(one.step.text[:100])} | {one.outcome} | {why} |")
    if outcome.edits:
        change = diff(outcome.guide, outcome.steps, outcome.edits)
        fence = "`" * max([3, *(len(one) + 1 for one in re.findall("`+", change))])  # a guide's own would end it
        lines += ["", "The smallest change that was found:", "", f"{fence}diff", shown(change).rstrip(), fence]
    if outcome.search and outcome.search.tried:
        lines += ["", "Tried:", ""]
        for tried in outcome.search.tried:
            said = "it works" if tried.works else cell(tried.words[:200])
            lines.append(f"- {_code('; '.join(e.words for e in tried.edits))}: {said}")
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    """A text set as code on one line of a table."""
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"
