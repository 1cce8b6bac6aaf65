"""From a guide's blocks to its steps: what its reader is to do, in order, and what is none of it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace

from dlmatrix.guides.agree import VARIES
from dlmatrix.guides.blocks import Draft, of_block
from dlmatrix.guides.choose import choose
from dlmatrix.guides.classify import project, requirements
from dlmatrix.guides.model import Guide, Repair, Step
from dlmatrix.guides.names import defined, drawn, tree_of, undefined

#: A page of so few characters that is full of scripts is not what its reader saw.
_FEW_WORDS = 400
_MADE = "the page's words are made by scripts when it is opened: save it as the browser shows it"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A guide understood: its steps, the Python that it names, and every repair."""

    steps: tuple[Step, ...]
    python: str
    #: why that Python, in words
    python_why: str
    repairs: tuple[Repair, ...]


def read_steps(guide: Guide, branch: str = "cpu") -> Reading:
    """What a guide tells its reader to do. ``branch`` is ``cpu``, ``gpu`` or a part of a tab's name."""
    drafts: list[Draft] = []
    for block in guide.blocks:
        drafts += of_block(block, drafts)
    drafts = _dropped_mentions(drafts)
    if not drafts and guide.format == "html" and "<script" in guide.text and len(guide.prose) < _FEW_WORDS:
        made = Step(text="<script>", kind="unreadable", line=1, why=_MADE)
        return Reading(steps=(made,), python="", python_why="", repairs=())
    steps = choose([d.step for d in drafts], [d.label for d in drafts], [d.lead for d in drafts], branch)
    steps = _brought(steps)
    steps = _drawn(_sessions(_saved(steps, [d.lead for d in drafts])))
    python, why = _python(guide, steps)
    repairs = {repair: None for step in steps for repair in step.repairs}
    return Reading(steps=tuple(steps), python=python, python_why=why, repairs=tuple(repairs))


def _dropped_mentions(drafts: list[Draft]) -> list[Draft]:
    """The steps less sentences that name again what a step does."""
    done = {d.step.text for d in drafts if d.step.kind != "mention"}
    return [d for d in drafts if d.step.kind != "mention" or d.step.text not in done]


def _sessions(steps: list[Step]) -> list[Step]:
    """Programs that go on where another ended share its session: a notebook's cells, and what uses another's names."""
    known: dict[int, set[str]] = {}
    found: list[Step] = []
    current, form = 0, ""
    for step in steps:
        if step.kind != "program" or step.form not in ("program", "repl", "cell"):
            found.append(step)
            continue
        missing = undefined(step.text)
        # A prompt stays open, and a notebook is one program.
        same = step.form == "cell" or step.form == form == "repl"
        before = next((n for n in reversed(known) if missing and missing <= known[n]), 0)
        if current and same:
            before = current
        if before:
            current = before
        else:
            lost = sorted(missing if not _imports(step.text) else _unexplained(missing))
            if lost and step.form == "program":
                why = f"a piece of a program: nothing before it says what {lost[0]} is"
                found.append(replace(step, kind="unreadable", why=why))
                continue
            current = len(known) + 1
            known[current], form = set(), step.form
        known[current] |= defined(step.text)
        found.append(replace(step, session=current))
    return found


def _brought(steps: list[Step]) -> list[Step]:
    """The steps, a program of what the guide installs being known where it only tells of itself."""
    names: set[str] = set()
    found = []
    for step in steps:
        names |= {project(one) for one in requirements(step.text)} if step.kind == "install" else set()
        word, _, rest = step.text.partition(" ")
        tells = step.kind == "unknown" and project(word) in names and rest in _TELLS
        found.append(replace(step, kind="check", why="") if tells else step)
    return found


_TELLS = ("env", "info", "version", "check", "checks", "list", "--version", "-V", "--help", "-h")


def _saved(steps: list[Step], leads: list[str]) -> list[Step]:
    """The steps, those programs with their file's name that the guide has its reader save and runs below."""
    found = list(steps)
    fetched = False
    for number, step in enumerate(steps):
        fetched = fetched or step.kind == "get"
        if step.kind != "program" or step.form != "shell":
            continue
        programs = [n for n in range(number) if steps[n].kind == "program" and steps[n].form == "program"]
        near = next((n for n in range(number - 1, -1, -1) if steps[n].kind not in ("output", "file")), -1)
        for name in re.findall(r"\bpython[\d.]*\s+(?:-[uBWO]\S*\s+)*([\w-]+\.py)\b", step.text):
            named = [n for n in programs if name in leads[n][-80:] or name in steps[n].text.split("\n")[0]]
            own = named or [n for n in programs if n == near and not fetched]
            if own:
                found[own[-1]] = replace(found[own[-1]], file=name)
    return found


def _drawn(steps: list[Step]) -> list[Step]:
    """The steps, those marked whose output hangs on something that its session drew before."""
    names: dict[int, set[str]] = {}
    found = []
    for step in steps:
        of_session = names.setdefault(step.session, set()) if step.session else set()
        varies = step.kind == "program" and step.form != "shell" and drawn(step.text, VARIES, of_session)
        found.append(replace(step, varies=True) if varies else step)
    return found


#: Names that programs import a module by; where nothing does, an import was forgotten.
_ALIASES = frozenset("np pd plt tf torch nn optim transforms keras sns mpl sp Image F cv2 tqdm".split())  # noqa: SIM905


def _unexplained(missing: Collection[str]) -> set[str]:
    """Names that are no module's and that no program before defines: what they are only the guide's readers know."""
    return {name for name in missing if name not in _ALIASES | sys.stdlib_module_names}


def _imports(text: str) -> bool:
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree_of(text)))


_WITH_PYTHON = r"\bpython\s*=+\s*(3\.\d+)|\bpython(3\.\d+)\s+-m\s+venv|--python[= ](?:python)?(3\.\d+)"
_VERSION = re.compile(r"\bPython\s*(?:版本)?\s*[=:：]?\s*(3\.\d{1,2})(?!\d)(?!\.\d)?(?P<more>[^.\n。,，]{0,14})", re.I)
_RANGE = re.compile(
    r"^\s*(?:[-–—~+]|to\b"
    r"|or (?:newer|later|higher|above)|and (?:newer|above|up)"
    r"|(?:and |or )?(?:later|onwards?|upwards?)|及以上|以上|或更|至|到|(?:/|,|、)\s*3\.)",
    re.I,
)


def _python(guide: Guide, steps: list[Step]) -> tuple[str, str]:
    """The Python that the guide's reader has, and where it says so; empty where it does not."""
    for step in steps:
        if step.kind == "world" and (found := re.search(_WITH_PYTHON, step.text)):
            return next(g for g in found.groups() if g), f"line {step.line}: {found[0]}"
    named: dict[str, str] = {}
    for found in _VERSION.finditer(guide.prose):
        before, more = guide.prose[max(0, found.start() - 20) : found.start()], found["more"]
        ranged = _RANGE.match(more) or re.search(r"[-\u2013~]\s*$|not|不支持|older|以下", before)
        if not ranged and not re.search(r"no longer|not|drop|不再", more):
            named.setdefault(found[1], found[0].strip())
    if len(named) == 1:  # several are a table, or a choice
        version, words = next(iter(named.items()))
        return version, f"the guide's words: {words}"
    return "", ""
