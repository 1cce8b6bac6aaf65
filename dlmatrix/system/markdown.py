"""Somebody else's text in Markdown that people paste."""

from __future__ import annotations

import html


def cell(text: str) -> str:
    """A text on one line of a table: nothing in it is HTML, a cell's end or a mention of somebody."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return html.escape(line, quote=False).replace("|", "\\|").replace("@", "@\u200b")
