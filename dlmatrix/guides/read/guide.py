"""Reads a guide of any format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from dlmatrix.guides.model import Guide
from dlmatrix.guides.read.assemble import Event, assemble
from dlmatrix.guides.read.decode import date_of, format_of, language_of, read_text


def read_guide(file: Path) -> Guide:
    """A guide's blocks and words. Raises UsageError for a file that is none."""
    text, encoding = read_text(file)
    kind = format_of(file, text)
    blocks, prose = assemble(_reader(kind)(text))
    return Guide(
        file=file,
        text=text,
        format=kind,
        encoding=encoding,
        language=language_of(prose or text),
        blocks=blocks,
        prose=prose,
        date=date_of(re.sub(r"<[^>]+>", " ", text[:20000]) if kind == "html" else text),
    )


def _reader(kind: str) -> Callable[[str], Iterable[Event]]:
    """Each brings its parser, which only it needs."""
    if kind == "rst":
        from dlmatrix.guides.read.rst import read_rst  # noqa: PLC0415

        return read_rst
    if kind == "html":
        from dlmatrix.guides.read.page import read_html  # noqa: PLC0415

        return read_html
    if kind == "notebook":
        from dlmatrix.guides.read.notebook import read_notebook  # noqa: PLC0415

        return read_notebook
    if kind == "plain":
        from dlmatrix.guides.read.plain import read_plain  # noqa: PLC0415

        return read_plain
    from dlmatrix.guides.read.markdown import read_markdown  # noqa: PLC0415

    return read_markdown
