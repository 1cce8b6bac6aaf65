"""Changes of a guide: what to try for a message, and how it is applied to the guide's steps."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dlmatrix.guides.classify import project, requirements
from dlmatrix.guides.judge import Played
from dlmatrix.guides.model import Step
from dlmatrix.guides.names import parses
from dlmatrix.system.toml import Table, read_toml


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A row of causes.toml."""

    name: str
    says: re.Pattern[str]
    change: str
    find: str
    put: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A change to try: texts of steps by their numbers, or another Python.

    Its size is 0 for a Python, 1 for a word, 2 for a line, and 3 for other versions than the guide's own.
    """

    name: str
    words: str
    size: int
    source: str
    texts: Mapping[int, str]
    python: str = ""


#: Changes that put an expression in another's place.
_IN_TEXT = ("replace", "rewrite")
_FILE = Path(__file__).with_name("causes.toml")


@cache
def projects() -> Mapping[str, str]:
    """The projects that bring modules, by the modules' names."""
    return {name: str(project) for name, project in read_toml(_FILE)["projects"].items()}


@cache
def load_causes() -> tuple[Cause, ...]:
    """The rows of causes.toml. Raises ConfigError naming file and key."""
    found = []
    for number, data in enumerate(read_toml(_FILE)["cause"]):
        row = Table(_FILE, f"cause[{number}].", data)
        found.append(
            Cause(
                name=row.take("name", str),
                says=re.compile(row.take("says", str)),
                change=row.take("change", str),
                find=row.take("find", str),
                put=row.take("put", str),
                source=row.take("source", str),
            )
        )
        row.done()
    return tuple(found)


def candidates(broken: Played) -> Iterator[tuple[Cause, str, str]]:
    """The rows that a broken step's words match, with their ``find`` and ``put`` filled in."""
    said = f"{broken.step.text}\n{broken.said}" if broken.step.kind == "install" else broken.said
    for cause in load_causes():
        if found := cause.says.search(said):
            groups = [re.escape(g or "") for g in found.groups()]
            plain = [g or "" for g in found.groups()]
            yield cause, _filled(cause.find, groups if cause.change in _IN_TEXT else plain), _filled(cause.put, plain)


def _filled(text: str, groups: Sequence[str]) -> str:
    for number, group in enumerate(groups, 1):
        text = text.replace(f"{{{number}}}", group)
    return text


def edit_of(cause: Cause, find: str, put: str, broken: Played, steps: Sequence[Step]) -> Edit | None:
    """The change that a row makes of the steps; None where it changes nothing."""
    if cause.change == "rename":
        texts = {
            n: after for n, step in enumerate(steps)
            if step.kind == "install" and (after := renamed(step.text, find, put)) != step.text
        }  # fmt: skip
        return _edit(cause, texts, 1, f"{find} → {put}")
    if cause.change in ("require", "module"):
        last = _install_before(broken, steps)
        put = put or projects().get(find, "")
        if last is None or not put or project(put) in map(project, requirements(steps[last].text)):
            return None
        return _edit(cause, {last: required(steps[last].text, put)}, 1, f"also {put}")
    numbers = [
        n for n, step in enumerate(steps)
        if _same_program(step, broken.step) or (cause.change == "rewrite" and step.kind == "program" and step.session)
    ]  # fmt: skip
    change = _replaced if cause.change in _IN_TEXT else _inserted
    texts = {n: after for n in numbers if (after := change(steps[n].text, find, put)) != steps[n].text}
    size = 1 if cause.change in _IN_TEXT and "import" not in find else 2
    lines = dict.fromkeys(line for n, after in texts.items() for line in _lines(steps[n].text, after))
    words = put if cause.change == "insert" else "; ".join(lines)[:300]
    return _edit(cause, texts, size, words)


def applied(steps: Sequence[Step], edits: Sequence[Edit]) -> list[Step]:
    """The steps with all changes made."""
    changed = list(steps)
    for edit in edits:
        for number, text in edit.texts.items():
            changed[number] = replace(changed[number], text=text)
    return changed


def renamed(command: str, name: str, put: str) -> str:
    """An install command with another requirement in a project's place, its version and extras kept."""
    pattern = rf"(?<![\w./-])(['\"]?){re.escape(name)}(?P<rest>(?:\[[\w,-]+\])?(?:[<>=!~]=?[\w.*]+)?)\1(?=\s|$)"

    def put_in(found: re.Match[str]) -> str:
        rest = found["rest"] if not re.search(r"[<>=]", put) else ""
        return _word(put + rest)

    return re.sub(pattern, put_in, command)


def required(command: str, requirement: str) -> str:
    """An install command with one requirement more."""
    return f"{command.rstrip()} {_word(requirement)}"


def _word(requirement: str) -> str:
    return f'"{requirement}"' if re.search(r"[<>~!\[;]", requirement) else shlex.quote(requirement)


def _edit(cause: Cause, texts: Mapping[int, str], size: int, words: str) -> Edit | None:
    return Edit(name=cause.name, words=words, size=size, source=cause.source, texts=texts) if texts else None


def _install_before(broken: Played, steps: Sequence[Step]) -> int | None:
    """The number of the last install command before a step, or of the last at all."""
    numbers = [n for n, step in enumerate(steps) if step.kind == "install"]
    place = next((n for n, step in enumerate(steps) if step == broken.step), len(steps))
    before = [n for n in numbers if n <= place and "requirements" not in steps[n].text]
    if broken.step.kind == "install" and len(before) > 1:  # what an installation lacks is to be there before it
        before.pop()
    return before[-1] if before else numbers[-1] if numbers else None


def _same_program(step: Step, broken: Step) -> bool:
    if broken.session:
        return step.session == broken.session
    return step.line == broken.line and step.text == broken.text


def _replaced(text: str, find: str, put: str) -> str:
    after = re.sub(find, put, text, flags=re.M)
    return after if not parses(text) or parses(after) else text


def _inserted(text: str, find: str, put: str) -> str:
    found = re.search(find, text, re.M)
    if put in text or not found:
        return text
    return f"{text[: found.end()]}\n{put}{text[found.end() :]}"


def _lines(before: str, after: str) -> list[str]:
    """The lines that are other than before, as words."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return [f"{old.strip()} → {new.strip()}" for old, new in pairs if old != new]
