"""What a block is: shell, a program, a transcript, output; the language named is believed where it fits."""

from __future__ import annotations

import ast
import re

from dlmatrix.guides import shell
from dlmatrix.guides.choose import other_system
from dlmatrix.guides.model import Block
from dlmatrix.guides.names import is_python, shows_value, tree_of
from dlmatrix.guides.read.plain import is_program
from dlmatrix.guides.repair import repair_program

SHELL = frozenset(
    "bash sh shell console zsh shell-session shellsession terminal bsh linux ksh commandline".split()  # noqa: SIM905
)
WINDOWS = frozenset("powershell ps1 ps1con pwsh cmd bat batch doscon dos".split())  # noqa: SIM905
PYTHON = frozenset("python python3 py py3 pycon ipython ipython3 python2 pytb pycon3".split())  # noqa: SIM905
#: Of these the text alone would make commands or programs that are none.
NEITHER = frozenset(
    "json yaml yml toml ini cfg dockerfile docker c cpp c++ java javascript js xml html makefile cmake diff r julia "  # noqa: SIM905
    "go rust protobuf sql css swift matlab latex mermaid properties scala kotlin perl php ruby lua fortran "
    "haskell clojure typescript ts jsx tsx csharp cs vb groovy gradle bibtex".split()
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
        if _shown_as_python(block):
            return "output"
        return "shell" if commands and not is_python(text) and not _pythonic(text) else "program"
    if language in SHELL or block.kind == "damaged":
        if (
            block.kind != "damaged"
            and not (commands or python or _may_be_told(text))
            and PRINTS.search(block.lead[-160:])
        ):
            return "output"
        return "program" if python and not commands else "shell"
    if language in NEITHER:
        return _mislabelled(text, commands, python)
    if python and (not commands or re.search(r"^(?:import|from) \w", text, re.M)):
        return "program"
    if _looks_like_output(text, block.lead, bool(commands)):
        return "output"
    if commands and shell.is_command(_first_line(text)):
        return "shell"
    return "program" if _pythonic(text) and not commands else "output" if text.strip() else "file"


def _mislabelled(text: str, commands: list[str], python: bool) -> str:
    """What a block of another language is: editors that guess the language set commands as CSS or Swift."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and len(commands) == len(lines):
        return "shell"
    return "program" if python and _FRAMEWORK.search(text) else "file"


_FRAMEWORK = re.compile(r"^(?:import|from)\s+(?:torch|tensorflow|keras|numpy|sklearn|pandas|matplotlib)\b", re.M)


def _may_be_told(text: str) -> bool:
    """Whether a line begins as a command of an unknown program may."""
    return bool(re.search(r"^(?:[$%>]\s*)?[a-z./][\w./-]*(?:\s+[^\s:]|$)", text, re.M))


#: An error as Python ends in it: no program has such a line.
_ERROR = re.compile(r"^(?:Traceback \(most recent call last\)|(?:\w+\.)*\w*(?:Error|Exception): )", re.M)


def _shown_as_python(block: Block) -> bool:
    """Whether a block that is called Python is what something prints: pages set both alike."""
    told = bool(PRINTS.search(block.lead[-60:]))
    if _values_alone(block.text):
        return told or not re.search(r"\w\.\w+\(", block.text)
    if is_python(block.text):
        return False
    if is_python(repair_program(block.text, block.line, block.kind == "damaged")[0]):
        return False
    return told or bool(_ERROR.search(block.text))


def _values_alone(text: str) -> bool:
    """Whether a text is values as Python shows them, line for line: what prints nothing is no program."""
    lines = tree_of(text.strip()).body
    return bool(lines) and all(isinstance(one, ast.Expr) and shows_value(one.value) for one in lines)


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
