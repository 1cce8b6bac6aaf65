"""Plain text: lines that begin as commands do, lines with prompts, and paragraphs that are Python."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from dlmatrix.guides import shell
from dlmatrix.guides.names import named_alone, tree_of
from dlmatrix.guides.read.assemble import Code, Event, Heading, Words
from dlmatrix.guides.repair import straight

_TITLE = re.compile(r"^(?:=+|-+|\*+)$|^(?:第?[\d.一二三四五六七八九十]+[、.)章节]|Step \d|步骤)")

#: A numbered heading: a number alone, or one with a point and digits behind it, may be what something prints.
_NUMBERED = re.compile(
    r"^\s*(?:\d{1,2}[、)]|\d{1,2}\.\s+(?=\S*[A-Za-z\u4e00-\u9fff])"
    r"|[一二三四五六七八九十]+[、.]|第.{1,3}[章节步]|步骤|Step \d)"
)
_IMPORTS = re.compile(r"^\s*(?:import \w|from [\w.]+ import )", re.M)
#: A command at the end of a sentence that tells to type it.
_TOLD = re.compile(
    r"(?:输入|执行|运行|键入|敲入|\b(?:run|type|enter|execute))[:：]?\s*"
    r"(?P<command>(?:sudo\s+)?(?:pip3?|conda|python3?\s+-m\s+pip)\s+(?:install|create|activate)\s[\x21-\x7e][\x20-\x7e]*)$",
    re.I,
)


def read_plain(text: str) -> Iterator[Event]:
    """The events of a text that has no marks at all."""
    numbered = enumerate(text.splitlines(), 1)
    for blank, group in itertools.groupby(numbered, key=lambda pair: not pair[1].strip()):
        if not blank:
            yield from _paragraph(list(group))


def _paragraph(lines: list[tuple[int, str]]) -> Iterator[Event]:
    body = "\n".join(line for _, line in lines)
    if is_program(body):
        yield Code(body, "python", "code", lines[0][0])
        return
    for kind, group in itertools.groupby(_kinds(lines), key=lambda pair: pair[0]):
        these = [pair[1] for pair in group]
        joined = "\n".join(line for _, line in these)
        if kind == "shell":
            yield Code(joined, "console" if shell.prompts_in(joined) else "bash", "code", these[0][0])
        elif kind == "python":
            yield Code(joined, "python", "code", these[0][0])
        elif _TITLE.match(joined.strip()) and len(these) == 1:
            yield Heading(2, joined)
        else:
            yield from _words(these)


def _words(lines: list[tuple[int, str]]) -> Iterator[Event]:
    """Lines of words, and the commands that they end in."""
    for number, line in lines:
        told = _TOLD.search(line.rstrip())
        yield Words(line[: told.start("command")] if told else line)
        if told:
            yield Code(told["command"], "", "alone", number)


def _kinds(lines: list[tuple[int, str]]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Each line with what it is; what follows a command with a prompt is its output, until a prompt, a title, a program
    or the end."""
    prompted = continued = repl = False
    program, known = 0, False
    for at, (number, line) in enumerate(lines):
        is_prompt = shell.PROMPT.match(line) or shell.WINDOWS_PROMPT.match(line)
        if (_NUMBERED.match(line) or _TOLD.search(line)) and not continued:
            prompted = repl = False
        if not (program or is_prompt or repl or continued):
            program = _program(lines[at:], known and not prompted)
        if program:
            program, known, prompted, kind = program - 1, True, False, "python"
        elif is_prompt:
            prompted, repl, kind = True, False, "shell"
        elif shell.REPL.match(line) or repl:
            repl, kind = True, "shell" if prompted else "python"
        elif continued or prompted or (shell.is_command(line) and line.isascii() and not _sentence(line)):
            kind = "shell"
        else:
            kind = "words"
        continued = kind == "shell" and line.rstrip().endswith("\\")
        yield kind, (number, line)


def _program(lines: list[tuple[int, str]], known: bool) -> int:
    """How many lines from here on are a program: it begins with an import, or goes on where another ended."""
    first = lines[0][1]
    if not (_IMPORTS.match(first) or first.lstrip().startswith("#") or (known and is_program(first))):
        return 0
    texts = list(
        itertools.takewhile(
            lambda text: not (shell.PROMPT.match(text) or _NUMBERED.match(text)), (line for _, line in lines)
        )
    )
    for count in range(len(texts), 0, -1):
        text = straight("\n".join(texts[:count]))
        if is_program(text) and not named_alone(text):
            return count if known or _IMPORTS.search(text) else 0
    return 0


def _sentence(line: str) -> bool:
    return line.rstrip().endswith((".", "?", "!")) or len(re.findall(r"\b(?:the|to|and|is|you|a)\b", line)) > 1


def is_program(text: str) -> bool:
    """Whether a text is Python that does something: it parses, and not as a name or a sentence might."""
    did = (ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.FunctionDef, ast.ClassDef, ast.For, ast.With)
    return any(
        isinstance(one, did) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Call))
        for one in tree_of(text).body
    )
