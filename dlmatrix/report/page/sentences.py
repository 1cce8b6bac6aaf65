"""This project's own sentences in a result.json, in Chinese: sentences_zh.toml, and the catalogue of causes."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from dlmatrix.report.page.texts import in_chinese
from dlmatrix.system.toml import read_toml

_NAME = re.compile(r"\\?\{(\w+)\\?\}")
#: What a command has in front where it was to be typed; the catalogue has it without.
_TYPED = re.compile(r"\.venv/bin/(?=python -m dlmatrix|nox )")
#: How a cause begins: its label in the catalogue.
_CAUSE = re.compile(r"([A-Z][A-Z0-9_]+): (.+)", re.DOTALL)


@functools.cache
def read_sentences() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every sentence as (what its English is recognised by, its Chinese with {names})."""
    rows = read_toml(Path(__file__).with_name("sentences_zh.toml"))["sentences"]
    return tuple((re.compile(_NAME.sub(r"(?P<\1>.+?)", re.escape(english)), re.DOTALL), text) for english, text in rows)


def translated(words: object) -> str | None:
    """A sentence of this project's in Chinese; None for what is not known to be one."""
    text = _TYPED.sub("", str(words))
    if whole := _whole(text):
        return whole
    before, does, remedy = text.partition("; do: ")
    # A remedy may have a semicolon of its own.
    parts = [*before.split("; "), *(["do: " + remedy] if does else [])]
    known = [_whole(part) for part in parts]
    if len(parts) == 1 or not any(known):
        return None
    return "\N{FULLWIDTH SEMICOLON}".join(chinese or part for chinese, part in zip(known, parts, strict=True))


def _whole(text: str) -> str | None:
    if cause := _CAUSE.fullmatch(text):
        title = in_chinese(cause[2])
        return f"{cause[1]}\N{FULLWIDTH COLON}{title}" if title else None
    if chinese := in_chinese(text):
        return chinese
    for pattern, chinese in read_sentences():
        if found := pattern.fullmatch(text):
            inner = {name: _whole(part) or part for name, part in found.groupdict().items()}
            return re.sub(r"\{(\w+)\}", lambda name, inner=inner: inner[name[1]], chinese)  # type: ignore[misc]
    return None
