"""Plain text: lines that begin as commands do, lines with prompts, and paragraphs that are Python."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from dlmatrix.guides import shell
from dlmatrix.guides.read.assemble import Code, Event, Heading, Words

_TITLE = re.compile(r"^(?:=+|-+|\*+)$|^(?:第?[\d.一二三四五六七八九十]+[、.)章节]|Step \d|步骤)")


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
            yield Words(joined)


def _kinds(lines: list[tuple[int, str]]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Each line with what it is; what follows a command with a prompt is its output, until a prompt or the end."""
    prompted = continued = repl = False
    for number, line in lines:
        if shell.PROMPT.match(line) or shell.WINDOWS_PROMPT.match(line):
            prompted, kind = True, "shell"
        elif shell.REPL.match(line) or repl:
            repl, kind = True, "shell" if prompted else "python"
        elif continued or prompted or (shell.is_command(line) and line.isascii() and not _sentence(line)):
            kind = "shell"
        else:
            kind = "python" if re.match(r"\s*(import \w|from [\w.]+ import )", line) and is_program(line) else "words"
        continued = kind == "shell" and line.rstrip().endswith("\\")
        yield kind, (number, line)


def _sentence(line: str) -> bool:
    return line.rstrip().endswith((".", "?", "!")) or len(re.findall(r"\b(?:the|to|and|is|you|a)\b", line)) > 1


def is_program(text: str) -> bool:
    """Whether a text is Python that does something: it parses, and not as a name or a sentence might."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    did = (ast.Import, ast.ImportFrom, ast.Assign, ast.AugAssign, ast.FunctionDef, ast.ClassDef, ast.For, ast.With)
    return any(
        isinstance(one, did) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)) for one in tree.body
    )
