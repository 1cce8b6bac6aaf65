"""From one block of a guide to its steps, before any choice is made between them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dlmatrix.guides import shell
from dlmatrix.guides.choose import label, other_system
from dlmatrix.guides.classify import NEEDS, NO_STEP, RUN, kind_of, without_comment
from dlmatrix.guides.glued import apart, as_typed
from dlmatrix.guides.model import Block, Repair, Step
from dlmatrix.guides.names import alternatives, is_python, is_value, modern, tree_of
from dlmatrix.guides.repair import HOLE, repair_program, repair_shell
from dlmatrix.guides.sorts import PRINTS, SHELL, WINDOWS, sort_of

_TOLD = re.compile(
    r"(?:\b(?:run|execute|type|enter|issue|invoke|call)|执行|运行|输入|键入|敲入|使用|命令)[^.。,，]{0,24}$"
    r"|\b(?:using|do|then|with|by|try)\W{0,3}$|[:：]\**\s*$|^$",
    re.I,
)
_NOT_TOLD = re.compile(
    r"\b(?:if|instead|equivalent|alias|like|e\.g|such as|same as|via)\b|想|如果|例如|比如|类似|相当于", re.I
)
_IMPERATIVE = re.compile(r"\b(?:not|don't|never|no need)\b[^.]{0,30}$|不必|不要|无需|不需要")


@dataclass(frozen=True)
class Draft:
    """A step, whether it is for a CPU or a GPU, and the words before it."""

    step: Step
    label: str
    lead: str


def of_block(block: Block, before: list[Draft]) -> Iterator[Draft]:
    """The steps of a block; output is given to the step that it follows."""
    block = as_typed(block)
    kind = sort_of(block)
    magic = kind == "program" and re.search(r"^(?:%{1,2}[a-z]|!\w)", block.text, re.M) and not is_python(block.text)
    if kind == "inline":
        yield from _inline(block)
    elif kind == "cell" or magic:  # a page made of a notebook
        yield from _cell(block)
    elif kind == "repl":
        yield from _transcript(block)
    elif kind == "elsewhere":
        code = re.search(r"\.(?:py|sh|ipynb)$", block.text)
        yield Draft(
            _step(
                block, block.text, "hole" if code else "file", "file", why=f"it stands in another file: {block.text}"
            ),
            "",
            block.lead,
        )
    elif kind == "shell":
        yield from _shell(block)
    elif kind == "program":
        text, repairs = repair_program(block.text, block.line, block.kind == "damaged")
        whole = is_python(text) and HOLE not in text
        step = _step(
            block, text, "program" if whole else "hole" if HOLE in text else "unreadable", "program", repairs=repairs
        )
        if whole and re.search(r"(?<![\w.])input\(", text):
            step = replace(step, kind="interactive", why=f"it needs {NEEDS['interactive']}")
        if whole and alternatives(text):
            step = replace(step, kind="other branch", why=NO_STEP["other branch"])
        yield Draft(replace(step, expected=_commented_output(text)), "", block.lead)
    elif kind == "output":
        _bind(block, before)
        yield Draft(_step(block, block.text, "output", "output"), "", block.lead)
    elif kind == "windows":
        for command in shell.split(block.text, strict=block.language not in WINDOWS):
            step = _step(block, command.text, "other system", "shell", command.offset)
            yield Draft(step, "", block.lead)
    else:
        yield Draft(_step(block, block.text, "file", "file"), "", block.lead)


def _inline(block: Block) -> Iterator[Draft]:
    text = block.text.strip()
    prompted = shell.PROMPT.sub("", text)
    if (
        not shell.is_command(prompted)
        or (" " not in prompted and prompted not in ("nvidia-smi", "reboot"))
        or prompted.endswith("(")
    ):
        return
    if (
        prompted.split()[0] in ("export", "set", "type", "start", "python", "conda", "docker")
        and len(prompted.split()) == 1
    ):
        return
    kind, why = kind_of(prompted)
    lead = block.lead[-60:]
    told = block.kind == "alone" or (
        _TOLD.search(lead) and not _NOT_TOLD.search(lead[-30:]) and not _IMPERATIVE.search(lead)
    )
    general = re.fullmatch(
        r"(?:docker|git|pip3?|conda|bazel|python -m)(?: image| container| compose)? [a-z]+", prompted
    )
    if general or (kind in RUN and not told):
        kind, why = "mention", NO_STEP["mention"]
    prompted, repairs = repair_shell(prompted, block.line)
    step = Step(text=prompted, kind=kind, line=block.line, path=block.path, why=why, repairs=repairs)
    yield Draft(_system(step, block), label(prompted) or label(lead), block.lead)


def _cell(block: Block) -> Iterator[Draft]:
    """A cell of a notebook: its ``!`` and ``%pip`` lines are shell, the rest is one piece of the notebook's program."""
    text = block.text
    if re.match(r"\s*%%(?:bash|sh|shell|!)", text) or block.language in SHELL:
        body = text.split("\n", 1)[1] if "\n" in text else ""
        yield from _shell(replace(block, text=body, line=block.line + 1))
        return
    python: list[str] = []
    for offset, line in enumerate(text.splitlines()):
        bare = line.strip()
        if re.match(r"!|%(?:pip|conda|cd|env|sx|system)\b", bare):
            command = re.sub(r"^!{1,2}|^%", "", bare).strip()
            kind, why = kind_of(command)
            if bare.startswith("%env"):
                command, kind, why = "export " + command[3:].strip().replace(" ", "="), "world", ""
            step = _step(block, command, kind, "shell", offset, why)
            yield Draft(_system(step, block), label(command), block.lead)
            python.append(" " * (len(line) - len(line.lstrip())) + "pass" if line != line.lstrip() else "")
        else:
            python.append("" if re.match(r"%{1,2}\w|\?", bare) else line)
    body = "\n".join(python)
    if body.strip() and re.sub(r"#.*", "", body).strip():
        fixed, repairs = repair_program(body, block.line, False)
        step = _step(block, fixed, "program" if is_python(fixed) else "unreadable", "cell", repairs=repairs)
        yield Draft(replace(step, expected=block.output or None), "", block.lead)


def _transcript(block: Block) -> Iterator[Draft]:
    """Shell and ``>>>`` in one block: each run of them a step, with what it printed."""
    shelled: list[str] = []
    typed: list[str] = []
    start = 0
    for offset, line in enumerate([*block.text.splitlines(), "$ "]):
        prompt = shell.PROMPT.match(line) or shell.WINDOWS_PROMPT.match(line)
        if shell.REPL.match(line) or (typed and not prompt):
            start = start if typed else offset
            typed.append(line)
            continue
        if typed:
            yield from _shell(
                replace(block, text="\n".join(shelled), line=block.line + start - len(shelled)), repl=True
            )
            shelled = []
            for at, lines in _parted(typed):
                yield _repl(block, lines, start + at)
            typed = []
        shelled.append(line)
    if shelled[:-1]:
        yield from _shell(replace(block, text="\n".join(shelled[:-1])), repl=True)


def _parted(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """What was typed at a prompt, with its place, parted around each statement that ends in an error."""
    parts: list[int] = [0]
    for number, line in enumerate(lines):
        if not line.strip().startswith("Traceback (most recent call last)"):
            continue
        starts = [n for n in range(number) if shell.TYPED.match(lines[n])]
        ends = [n for n in range(number, len(lines)) if shell.TYPED.match(lines[n])]
        parts += [*starts[-1:], *ends[:1]]
    for here, there in itertools.pairwise([*dict.fromkeys(parts), len(lines)]):
        yield here, lines[here:there]


def _repl(block: Block, lines: list[str], offset: int) -> Draft:
    """What was typed at a Python prompt, and what it printed."""
    source: list[str] = []
    said: list[str] = []
    typing = False
    for line in lines:
        # What goes on behind an output is none: tracebacks are shown with dots too.
        found = shell.REPL.match(line) if typing or shell.TYPED.match(line) else None
        typing = bool(found)
        (source if found else said).append(line[found.end() :] if found else line)
    text = "\n".join(source)
    text, repairs = repair_program(text, block.line + offset, False)
    step = _step(block, text, "program" if is_python(text) else "unreadable", "repl", offset, repairs=repairs)
    return Draft(replace(step, expected="\n".join(said).strip("\n") or None), "", block.lead)


def _shell(block: Block, repl: bool = False) -> Iterator[Draft]:
    """The commands of a shell block. A list of general forms is none; comments say for whom a command is."""
    damaged = block.kind == "damaged" and not repl
    text = apart(" ".join(block.text.split())) if damaged else block.text
    strict = block.language not in SHELL or shell.prompts_in(text) or _has_output(text)
    lines = text.splitlines()
    for command in shell.split(text, strict):
        fixed, repairs = repair_shell(without_comment(command.text), block.line + command.offset)
        if repl and shell.first_word(fixed).startswith(("python", "ipython")) and len(fixed.split()) == 1:
            continue
        comment = _comment(lines, command.offset, command.text)
        kind, why = kind_of(fixed)
        if not (shell.is_command(fixed) or command.windows or re.match(r"[(\[{]|\w+=", fixed)):
            told = fixed.isascii() and re.match(r"[\w./~\\-]+\s|[\w./~\\-]+$", fixed)
            if kind in RUN or not told:
                kind, why = ("unknown", f"it needs {NEEDS['unknown']}") if told else ("output", NO_STEP["output"])
        if command.windows:
            kind, why = "other system", NO_STEP["other system"]
        if damaged and "\n" in text:
            repairs = (*repairs, Repair(line=block.line, what="line breaks restored", before=block.text, after=text))
        step = _step(block, fixed, kind, "shell", 0 if damaged else command.offset, why, repairs)
        said = command.output if command.output and command.output.strip() else None
        own = label(comment) or label(fixed) or label(_last_sentence(block.lead)[-100:])
        yield Draft(_system(replace(step, expected=said), block, comment), own, f"{block.lead} {comment}")


def _last_sentence(lead: str) -> str:
    """The words right before a block; a sentence that ended before them may speak of anything."""
    return re.split(r"(?<=[.!?])\s+(?=\S+\s+\S)|[。！？]\s*(?=\S)", lead.strip())[-1]


def _has_output(text: str) -> bool:
    return any(
        re.match(r"(?:Collecting|Downloading|Successfully|Requirement already|Installing|\d{4}-\d\d)", line.strip())
        for line in text.splitlines()
    )


def _comment(lines: list[str], offset: int, command: str) -> str:
    found = []
    for line in reversed(lines[:offset]):
        if not line.strip().startswith("#"):
            break
        found.append(line.strip("# "))
    behind = re.search(r"\s#\s*(.*)$", command)
    return " ".join([*reversed(found), behind[1] if behind else ""]).strip()


def _system(step: Step, block: Block, comment: str = "") -> Step:
    """The step, left out where its place in the guide speaks of another operating system, or of a thing to look up."""
    if step.kind in RUN and other_system(block.path, comment or block.lead):
        return replace(step, kind="other system", why=NO_STEP["other system"])
    if step.kind in RUN and re.search(
        r"不必执行|常用命令|cheat ?sheet|general form|for reference only", block.lead, re.I
    ):
        return replace(step, kind="synopsis", why=NO_STEP["synopsis"])
    return step


def _bind(block: Block, before: list[Draft]) -> None:
    """Give a block of output to the step right before it."""
    if not before or not PRINTS.search(block.lead[-160:]):
        return
    last = before[-1]
    if last.step.kind in ("check", "program") and last.step.expected is None and not _echoed(last.step):
        before[-1] = replace(last, step=replace(last.step, expected=block.text))


def _echoed(step: Step) -> bool:
    """Whether a program shows no more than its last value, as a notebook does and a program does not."""
    body = tree_of(step.text).body if step.form == "program" else []
    return bool(body) and isinstance(body[-1], ast.Expr) and "print" not in step.text


def _commented_output(text: str) -> str | None:
    """What a program's last comment promises, where it stands right behind a print, and is no remark on it.

    It is what is printed where it says so, or is a value as Python writes one; a version is another every month.
    """
    found = re.search(
        r"^\s*print\((?P<what>.*)\)[ \t]*(?:\n[ \t]*)?#[ \t]*"
        r"(?P<says>(?:(?:output|输出|prints?)(?![\w(])|={1,2}>|->|>>>?)[:：]?[ \t]*)?"
        r"(?P<out>[^\n]+)\s*\Z",
        modern(text),
        re.M | re.I,
    )
    if not found or "version" in found["what"].lower():
        return None
    out = found["out"].strip()
    told = found["says"] and re.search(r"\d|True|False|^\W", out)
    return out if told or is_value(out) else None


def _step(  # noqa: PLR0917 - what a step is, in the order in which it is known
    block: Block, text: str, kind: str, form: str, offset: int = 0, why: str = "", repairs: tuple[Repair, ...] = ()
) -> Step:
    reason = why or NO_STEP.get(kind, "") or (f"it needs {NEEDS[kind]}" if kind in NEEDS else "")
    return Step(text=text, kind=kind, line=block.line + offset, form=form, path=block.path, why=reason, repairs=repairs)
