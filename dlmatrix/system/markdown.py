"""Somebody else's text in Markdown that people paste."""

from __future__ import annotations

import html


def one_line(text: str) -> str:
    """A text on one line, without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def cell(text: str) -> str:
    """A text on one line of a table: nothing in it is HTML, a cell's end or a mention of somebody."""
    return html.escape(one_line(text), quote=False).replace("|", "\\|").replace("@", "@\u200b")
