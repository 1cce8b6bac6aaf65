"""Shell text: prompts taken off, split into commands, each with the line it begins on and what it printed."""

from __future__ import annotations

import ast
import codeop
import re
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dlmatrix.system.toml import read_toml

#: ``$ ``, ``(env) lin@desk:~$ ``, ``[root@host ~]# ``, ``%`` of zsh.
PROMPT = re.compile(
    r"^\s*(?:"
    r"(?:\([\w.-]+\)\s*)?(?:\[?[\w.-]+@[\w.-]+[^$#%\n]{0,60}?\]?\s*)[$#%]\s?(?=\S|$)"
    r"|(?:\([\w.-]+\)\s*)[$#%>]\s*(?=\S|$)"
    r"|(?:\([\w.-]+\)\s+)(?=(?:pip3?|python3?|conda|cd|git)\s)"
    r"|(?!\$(?:[({]|[A-Z_]{2,}\b))[$❯➜]\s*(?=[A-Za-z./~\"'({_]|$)"  # a variable is no prompt
    r"|%\s(?=[a-z])"
    r")"
)
WINDOWS_PROMPT = re.compile(
    r"^\s*(?:\([\w.-]+\)\s*)?(?:PS\s*)?[A-Za-z]:\\[^>\n]*>\s*|^\s*PS>\s*|^\s*(?:\([\w.-]+\)\s*)?[cC]:\\?>\s*"
)
REPL = re.compile(r"^\s*(?:>>>(?!>)(?: |$|(?=\w))|(?:\.\.\.|In\s*\[\d+\]:|\s+\.\.\.:)(?: |$))")
#: The first of them that a statement has.
TYPED = re.compile(r"^\s*(?:>>>(?!>)(?: |$|(?=\w))|In\s*\[\d+\]:(?: |$))")
#: First words that begin a command of some guide.
KNOWN = frozenset(read_toml(Path(__file__).with_name("commands.toml"))["known"].split())
#: Words that are also words of a sentence: alone they begin no command.
_WORDS = frozenset(
    "which where set test read time find sort code module start call type more less true false if for while make "  # noqa: SIM905
    "source cat watch wait head tail".split()
)
_SENTENCE = re.compile(r"\b(?:the|to|and|is|are|you|a|an|of|that|your|this|from|for|with|in)\b")
_ASSIGNED = re.compile(r"^(?:[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|\$\([^)]*\)|[^\s\"']*)\s+)*")
_ENV = re.compile(r"env (?:-|\w+=)")
_CONTINUES = re.compile(r"(?<!\\)\\\s*$")


@dataclass(frozen=True)
class Command:
    """A command, the line of its block that it begins on (from 0), and what it printed."""

    text: str
    offset: int
    output: str | None = None
    windows: bool = False


def first_word(command: str) -> str:
    """The word that says what a command does, less variables, ``sudo`` and ``time``: ``pip`` of ``sudo -H pip3``."""
    rest = command.strip().lstrip("!%").strip()
    rest = _ASSIGNED.sub("", rest)
    words = rest.split()
    while words and (words[0] in ("sudo", "time", "nohup", "exec", "command") or _ENV.match(" ".join(words[:2]))):
        words = words[1:]
        while words and (words[0].startswith("-") or re.match(r"\w+=", words[0])):
            words = words[1:]
    return words[0] if words else ""


def is_command(line: str) -> bool:
    """Whether a line, its prompt off, begins as commands do, and goes on as they do, not as a sentence."""
    text = line.strip()
    word = first_word(text)
    if not word or (text.endswith((".", "。", ":", "：")) and " " in text and word in _WORDS):
        return bool(re.match(r"[A-Za-z_]\w*=\S", text)) and not word
    if not re.search(r"[\"'=|&]|\s-", text) and len(_SENTENCE.findall(text)) > 1:
        return False
    if word in KNOWN:
        return not (word in _WORDS and (len(text.split()) > 6 or len(text.split()) == 1))
    base = word.rsplit("/", 1)[-1]
    return bool(re.match(r"(?:\.{1,2}|~)/[\w./~-]+$|/[\w./-]+/bin/|\$\{?\w+\}?/", word)) or bool(
        re.fullmatch(r"python[23]?\.\d+|pip[23]\.\d+", base)
    )


def prompts_in(text: str) -> bool:
    """Whether any line of a block has a shell's prompt."""
    return any(PROMPT.match(line) or WINDOWS_PROMPT.match(line) for line in text.splitlines())


def typed_in(text: str) -> bool:
    """Whether a block has Python that somebody typed: pages set what a shell's command printed behind ``>>>`` too."""
    command = ""
    for line in text.splitlines():
        if found := TYPED.match(line):
            if not command or _STARTS_PYTHON.search(command) or _is_statement(line[found.end() :]):
                return True
        elif line.strip():
            bare = PROMPT.sub("", line)
            command = bare if is_command(bare) else ""
    return False


#: A command behind which Python's own prompt comes.
_STARTS_PYTHON = re.compile(r"\bi?python[\d.]*(?:\s+-[a-zA-Z]*[iqu]\w*)*\s*$")


def _is_statement(line: str) -> bool:
    """Whether a line begins what is typed at Python's prompt: Python, and no value that stands for itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if codeop.compile_command(line, symbol="single") is None:
                return True
        ast.literal_eval(line.strip())
    except (SyntaxError, OverflowError, RecursionError, MemoryError):
        return False
    except (ValueError, TypeError):
        return True
    return False


def split(text: str, strict: bool) -> list[Command]:
    """The commands of a shell block.

    Where a block has prompts, only lines with one are commands and all others are output. Else each line is one,
    grown until bash can read it; ``strict`` takes only lines that begin as commands do, the others being output.
    """
    lines = text.splitlines()
    prompted = prompts_in(text)
    found: list[Command] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        windows = WINDOWS_PROMPT.match(line)
        prompt = windows or PROMPT.match(line)
        body = line[prompt.end() :] if prompt else line
        bare = body.strip()
        if not bare or bare.startswith(("#", "REM ", "::")):
            number += 1
            continue
        is_output = (prompted and not prompt) or (not prompt and strict and not is_command(body))
        if is_output or REPL.match(line):
            if found and not REPL.match(line):
                last = found[-1]
                found[-1] = Command(last.text, last.offset, (last.output or "") + line + "\n", last.windows)
            number += 1
            continue
        start, (command, number) = number, _grown(lines, number, body, bool(windows))
        found.append(Command(command, start, None, bool(windows)))
    return found


def _grown(lines: list[str], number: int, body: str, windows: bool) -> tuple[str, int]:
    """One command and the number of the line behind it."""
    command, end = body.strip(), number + 1
    while not windows and end < len(lines):
        if _CONTINUES.search(command):
            command = _CONTINUES.sub("\\\\", command)
        elif readable(command):
            break
        elif end - number > 60:
            return body.strip(), number + 1
        following = lines[end]
        following = re.sub(r"^\s*>\s?", "", following) if not PROMPT.match(following) else following
        if PROMPT.match(following) and not readable(command):
            return body.strip(), number + 1
        command, end = f"{command}\n{following}", end + 1
    if not windows and not readable(command) and end > number + 1:
        return body.strip(), number + 1
    return command.rstrip(), end


@cache
def readable(command: str) -> bool:
    """Whether bash can read a command, which it does not run."""
    bash = shutil.which("bash")
    if bash is None:
        return True
    if command.rstrip().endswith("\\") and not command.rstrip().endswith("\\\\"):
        return False
    try:
        done = subprocess.run(
            [bash, "--noprofile", "--norc", "-n"],
            input=command.encode(errors="replace"),
            capture_output=True,
            timeout=10,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return done.returncode == 0 and b"here-document" not in done.stderr
