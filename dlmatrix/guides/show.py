"""What was read of a guide, and how it was understood, as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dlmatrix.errors import shown
from dlmatrix.guides.classify import NEEDS, NEVER, RUN
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.steps import Reading

_LANGUAGES = {"zh": "Chinese", "en": "English"}
_ORDER = (*RUN, *NEEDS, *NEVER)


def reading_lines(guide: Guide, reading: Reading) -> Iterator[str]:
    """The guide's form, its steps in order, and its repairs."""
    told = [guide.format, guide.encoding, _LANGUAGES[guide.language]]
    told += [f"of {guide.date}"] if guide.date else []
    yield f"{shown(str(guide.file))}: {', '.join(told)}"
    where = f" ({reading.python_why})" if reading.python_why else ""
    yield f"Python: {reading.python or 'none named'}{shown(where)}"
    steps = [step for step in reading.steps if step.kind not in ("output", "file")]
    yield f"{len(steps)} commands and programs, {sum(step.kind in RUN for step in steps)} of them to be carried out"
    for step in steps:
        yield from step_lines(step)
    for repair in reading.repairs:
        yield f"repaired at line {repair.line}: {repair.what}"
        yield f"    was: {_first(repair.before)}"
        yield f"    now: {_first(repair.after)}"
    if not steps:
        yield "nothing in it is a command or a program"


def step_lines(step: Step) -> Iterator[str]:
    """A step: its line, its kind, its text, and why it is left out."""
    first, *more = shown(step.text).rstrip().split("\n")
    yield f"{step.line:5}  {step.kind:<13} {first}"
    yield from (f"{'':21}{line}" for line in more)
    if step.why:
        yield f"{'':21}({shown(step.why)})"
    if step.expected:
        lines = shown(step.expected).strip().split("\n")
        yield from (f"{'':21}→ {line}" for line in lines[:3])
        if len(lines) > 3:
            yield f"{'':21}→ … {len(lines) - 3} lines more"


def reading_json(guide: Guide, reading: Reading) -> str:
    """The same for programs."""
    return json.dumps(
        {
            "schema_version": 1,
            "guide": str(guide.file),
            "format": guide.format,
            "encoding": guide.encoding,
            "language": guide.language,
            "date": guide.date,
            "python": reading.python,
            "steps": [step_data(step) for step in reading.steps],
            "repairs": [
                {"line": one.line, "what": one.what, "before": one.before, "after": one.after}
                for one in reading.repairs
            ],
        },
        indent=2,
    )  # fmt: skip


def step_data(step: Step) -> dict[str, object]:
    """A step as JSON has it."""
    keys = ("line", "kind", "form", "text", "why", "expected", "session")
    return {key: getattr(step, key) for key in keys} | {"path": list(step.path)}


def _first(text: str) -> str:
    line = shown(" ⏎ ".join(text.strip().split("\n")))
    return line if len(line) <= 100 else line[:99] + "…"
