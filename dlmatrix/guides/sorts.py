"""What a block is: shell, a program, a transcript, output; the language named is believed where it fits."""

from __future__ import annotations

import ast
import re

from dlmatrix.guides import shell
from dlmatrix.guides.choose import other_system
from dlmatrix.guides.model import Block
from dlmatrix.guides.read.plain import is_program
from dlmatrix.guides.repair import parses

SHELL = frozenset(
    "bash sh shell console zsh shell-session shellsession terminal bsh linux ksh commandline".split()  # noqa: SIM905
)
WINDOWS = frozenset("powershell ps1 ps1con pwsh cmd bat batch doscon dos".split())  # noqa: SIM905
PYTHON = frozenset("python python3 py py3 pycon ipython ipython3 python2 pytb pycon3".split())  # noqa: SIM905
#: Of these the text alone would make commands or programs that are none.
NEITHER = frozenset(
    "json yaml yml toml ini cfg dockerfile docker c cpp c++ java javascript js xml html makefile cmake diff r julia "  # noqa: SIM905
    "go rust protobuf sql css swift matlab latex mermaid properties".split()
)
#: Words before what something prints.
PRINTS = re.compile(
    r"输出|结果|显示|打印|出现|看到|返回|如下(?:所示|信息)?[:：]|\b(?:outputs?|prints?|printed|results? in|looks? like"
    r"|(?:should|will) (?:see|get|show|print|look|be)|returns?|similar to)\b",
    re.I,
)


def sort_of(block: Block) -> str:
    """inline, cell, elsewhere, repl, shell, program, windows, output or file; a language is believed if it fits."""
    text, language = block.text, block.language
    if block.kind == "elsewhere":
        return "elsewhere"
    if block.kind in ("inline", "alone"):
        return "inline"
    if block.kind == "cell":
        return "cell" if language in (*PYTHON, "") else "file"
    if language in WINDOWS:
        return "windows"
    if shell.typed_in(text):
        return "repl"
    if other_system(block.path, "") and not language and not is_program(text):
        return "windows"
    commands = [line for line in text.splitlines() if shell.is_command(_unprompted(line))]
    if shell.prompts_in(text) and (commands or language in SHELL):
        return "shell"
    if language in ("", "text", "output") and _values_alone(text):
        return "output"
    python = is_program(text)
    if language in PYTHON:
        return "shell" if commands and not parses(text) and not _pythonic(text) else "program"
    if language in SHELL or block.kind == "damaged":
        return "program" if python and not commands else "shell"
    if language in NEITHER:
        return "file"
    if python and (not commands or re.search(r"^(?:import|from) \w", text, re.M)):
        return "program"
    if _looks_like_output(text, block.lead, bool(commands)):
        return "output"
    if commands and shell.is_command(_first_line(text)):
        return "shell"
    return "program" if _pythonic(text) and not commands else "output" if text.strip() else "file"


#: Values that are shown as the call that makes them; any other call behind a print is code that somebody took out.
_SHOWN_AS_CALLS = ("tensor", "array", "Size", "TensorShape", "Tensor")


def is_value(text: str) -> bool:
    """Whether a text is a value as Python shows it: ``[1, 2]``, ``True``, ``torch.Size([2, 3])``."""
    try:
        return _shows_value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _shows_value(shown: ast.expr) -> bool:
    if isinstance(shown, ast.Call) and ast.unparse(shown.func).rpartition(".")[2] in _SHOWN_AS_CALLS:
        shown = shown.args[0] if shown.args else ast.Constant("")
    try:
        ast.literal_eval(shown)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def _values_alone(text: str) -> bool:
    """Whether a text is values as Python shows them, line for line: what prints nothing is no program."""
    try:
        lines = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(lines) and all(isinstance(one, ast.Expr) and _shows_value(one.value) for one in lines)


def _unprompted(line: str) -> str:
    return shell.PROMPT.sub("", shell.WINDOWS_PROMPT.sub("", line))


def _pythonic(text: str) -> bool:
    return bool(re.search(r"^\s*(?:import \w|from [\w.]+ import )", text, re.M))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")


def _looks_like_output(text: str, lead: str, commands: bool) -> bool:
    if commands and shell.is_command(_first_line(text)):
        return False
    return bool(PRINTS.search(lead[-120:])) or bool(
        re.search(r"^(?:\d{4}-\d\d-\d\d |Traceback|\+-{5}|E\d{4} |W\d{4} |\[\d)", text, re.M)
    )
