"""Blocks of shell and of prompts put as they were typed: line breaks that were lost, prompts that are set otherwise."""

from __future__ import annotations

import html
import re
from dataclasses import replace

from dlmatrix.guides import shell
from dlmatrix.guides.model import Block
from dlmatrix.guides.names import is_python
from dlmatrix.guides.sorts import SHELL

#: Where another command begins on a line that has lost its breaks: a tool with what only a command has behind it.
_BEGINS = re.compile(
    r"\s+(?=(?:\$\s+)?(?:sudo\s+(?:-\w+\s+)?)?(?:"
    r"(?:pip[\d.]*|conda|mamba)\s+(?:install|uninstall|create|activate|env|config|update|list|show|clean|--version)\b"
    r"|python[\d.]*\s+(?:-c\s+[\"']|-m\s+\w|-V\b|--version\b|[\w./-]+\.py\b)"
    r"|git\s+clone\s|apt(?:-get)?\s+(?:install|update|upgrade)\b|docker\s+(?:run|pull|build|exec)\s"
    r"|(?:wget|curl)\s+\S*(?:-|://)|(?:cd|source|mkdir|unzip|chmod)\s+\S|virtualenv\s+[-~./]|export\s+\w+="
    r"|nvidia-smi\b|jupyter\s+notebook\b|deactivate\b))"
)
#: Behind these the same words are no command of their own.
_HELD = re.compile(r"(?:&&|[|;!]|(?:^|\s)(?:sudo|time|nohup|exec|run|-m|-c|-n|--name))$")


def as_typed(block: Block) -> Block:
    """A block with the line breaks before its prompts and commands, and with prompts as a shell has them."""
    text = html.unescape(block.text) if "&gt;&gt;&gt;" in block.text else block.text
    if (block.kind in ("code", "damaged") and re.search(r"\S\s+>>>\s", text)) or text.startswith(">>> "):
        text = "\n".join(_typed(line) for line in text.split("\n"))
    if _quoted(block, text):
        text = re.sub(r"^>\s+(?=\S)", "$ ", text, flags=re.M)
    return block if text == block.text else replace(block, text=text)


def apart(line: str) -> str:
    """Commands that stand on one line, each on one of its own."""
    pieces, start = [], 0
    for found in _BEGINS.finditer(line):
        before = line[start : found.start()]
        if before.strip() and not _HELD.search(before) and before.count('"') % 2 == before.count("'") % 2 == 0:
            pieces.append(before)
            start = found.end()
    return "\n".join([*pieces, line[start:]])


def _typed(line: str) -> str:
    """A line with several prompts as a line each, and what a statement printed below it."""
    if len(re.findall(r"(?:^|\s)>>>\s", line)) < 2 and not re.match(r"\S.*\s>>>\s", line):
        return line
    found = []
    for one in re.split(r"\s+(?=>>>\s)", line):
        words = one.split(" ")
        ends = (n for n in range(len(words), 1, -1) if is_python(" ".join(words[1:n]).strip()))
        end = next(ends, len(words)) if words[0] == ">>>" else len(words)
        found += [" ".join(words[:end]), *([" ".join(words[end:])] if words[end:] else [])]
    return "\n".join(found)


def _quoted(block: Block, text: str) -> bool:
    """Whether ``> `` is the prompt of a block: of its first line, before a command, and there is no other."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.match(r">\s+(?=\S)", first)
    if not bare or shell.prompts_in(text):
        return False
    return block.language in SHELL or shell.is_command(first[bare.end() :])
