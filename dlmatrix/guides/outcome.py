"""What came of a replay, for people and programs: lines for the terminal, Markdown, and what result.json has of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dlmatrix.errors import shown
from dlmatrix.guides.at_hand import Written
from dlmatrix.guides.branches import Branch
from dlmatrix.guides.classify import RUN
from dlmatrix.guides.edits import Edit
from dlmatrix.guides.exports import diff, dockerfile, env_file
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.replay import Verdict
from dlmatrix.guides.search import Search
from dlmatrix.guides.show import step_data
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
    #: the ways that were not gone
    branches: tuple[Branch, ...] = ()
    #: envs of the matrix in which its programs were tried as they are written
    written: tuple[Written, ...] = ()
    #: the day whose versions installations were held to; empty where it was today's
    date: str = ""

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
    yield _reader(replay) + (f", as of {outcome.date}" if outcome.date else "")
    yield f"verdict: {shown(words_of(outcome))}"
    if broken := replay.first_break:
        lines, at = broken.step.text.splitlines(), broken.line - broken.step.line
        line = (lines[at] if 0 <= at < len(lines) else "") or broken.step.text.strip().splitlines()[0]
        yield f"first break: line {broken.line or broken.step.line}: {shown(line.strip())}"
        yield f"    {shown(broken.reason)}"
    if outcome.search:
        for tried in outcome.search.tried:
            mark = "tried, works" if tried.works else "could not be tried" if tried.lost else "tried, not enough"
            yield f"{mark}: {shown('; '.join(e.words for e in tried.edits))}"
            if not tried.works:
                yield f"    {shown(tried.words)[:200]}"
    if outcome.edits:
        yield "the change:"
        yield from (f"    {shown(line)}" for line in diff(outcome.guide, outcome.steps, outcome.edits).splitlines())
    for branch in outcome.branches:
        mark = {True: "it resolves", False: "it resolves to nothing", None: "not asked"}[branch.works]
        yield f"other branch, line {branch.line}: {shown(branch.step)[:100]}"
        yield f"    {mark}: {shown(branch.words)}"
    for one in outcome.written:
        words = "its programs run as they are written" if one.works else shown(one.words)[:150]
        yield f"in {one.env}: {words}"
    if outcome.env:
        yield f"env of the matrix: {outcome.env}"


def _reader(replay: Replay) -> str:
    """What the guide's reader has; where nothing was carried out nobody asked for the pip."""
    return f"Python {replay.asked}" + (f", pip {replay.pip}" if replay.pip else "")


def words_of(outcome: Outcome) -> str:
    """The verdict, and the change that mends it or that none was found."""
    if outcome.edits:
        return f"{outcome.verdict.words}; mended by {', '.join(edit.words for edit in outcome.edits)}"
    if outcome.search is not None and outcome.verdict.kind == "broken":
        lost = any(one.lost for one in outcome.search.tried)
        return f"{outcome.verdict.words}; nothing that {'could be' if lost else 'was'} tried mends it"
    return outcome.verdict.words


def as_data(outcome: Outcome) -> dict[str, Any]:
    """All of it for programs: what result.json of a replay has beside machine, engine and time."""
    replay, guide = outcome.replay, outcome.guide
    broken = replay.first_break
    ended = (outcome.search.replay if outcome.search else None) or replay
    repairs = {repair: None for step in outcome.steps for repair in step.repairs}
    return {
        "guide": {"file": guide.file.name, "format": guide.format, "encoding": guide.encoding,
                  "language": guide.language, "date": guide.date},
        "verdict": outcome.kind,
        "words": words_of(outcome),
        "python": replay.asked,
        "pip": replay.pip,
        "env": outcome.env,
        "as_of": outcome.date,
        "as_written": [{"env": one.env, "works": one.works, "words": one.words} for one in outcome.written],
        "branches": [{"line": b.line, "step": b.step, "works": b.works, "words": b.words} for b in outcome.branches],
        "first_break": _break(broken) if broken else None,
        "substitution": [
            {"words": e.words, "name": e.name, "source": e.source, "python": e.python} for e in outcome.edits
        ],
        "diff": diff(guide, outcome.steps, outcome.edits) if outcome.edits else "",
        "tried": [
            {"words": "; ".join(e.words for e in t.edits), "works": t.works, "lost": t.lost, "said": t.words}
            for t in (outcome.search.tried if outcome.search else [])
        ],
        "steps": [
            step_data(one.step) | {"outcome": one.outcome, "reason": one.reason, "seconds": round(one.seconds, 2),
                                   "notes": list(one.notes), "said": one.said[-4000:]}
            for one in replay.played
        ],
        "repairs": [{"line": r.line, "what": r.what, "before": r.before, "after": r.after} for r in repairs],
        "installed": dict(replay.installed),
        "dockerfile": dockerfile(ended, guide.file.name, words_of(outcome)),
        "env_file": env_file(ended),
    }  # fmt: skip


def _break(broken: Played) -> dict[str, Any]:
    return {"line": broken.line or broken.step.line, "step": broken.step.text, "reason": broken.reason}


def summary(outcome: Outcome) -> str:
    """The same as Markdown, to paste."""
    lines = [f"# {cell(outcome.guide.file.name)}", "", f"**{cell(words_of(outcome))}**", ""]
    lines += [f"{_reader(outcome.replay)}.", ""]
    lines += ["| line | step | outcome | |", "|---|---|---|---|"]
    for one in outcome.replay.played:
        if one.step.kind in RUN or one.outcome == "unjudged":
            why = cell("; ".join([*one.notes, one.reason]).strip("; ")[:200])
            lines.append(f"| {one.step.line} | {_code(one.step.text[:100])} | {one.outcome} | {why} |")
    if outcome.branches:
        lines += ["", "Other branches, resolved and not installed:", ""]
        lines += [f"- line {b.line}, {_code(b.step)}: {cell(b.words)}" for b in outcome.branches]
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
