"""Markdown: CommonMark for all that is no fence, after the fences were found line by line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dlmatrix.guides.read.assemble import TAB, Code, Event, Heading, Words
from dlmatrix.guides.read.fences import Fence, is_nested, language, scan
from dlmatrix.guides.read.page import preformatted, read_html

_TAB = re.compile(
    r"^\s*(?:[*+-]\s+)?\{(?P<name>[^{}%#]{1,60})\}\s*$"
    r"|^\s*:begin_tab:\s*`?(?P<d2l>[\w, ]+)`?\s*$|^=== *\"(?P<mk>[^\"]+)\""
)
#: Tabs whose content is indented.
_INDENTING = re.compile(r"^\s*[*+-]\s|^=== ")
_TAB_END = re.compile(r"^\s*:end_tab:")
_DAMAGED = re.compile(r"^\s*(bash|shell|sh|console|python3?|py|text|none|cmd)\s+(?=\S)", re.I)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_FRONT = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*\n", re.S)


def read_markdown(text: str, first: int = 0, depth: int = 0) -> Iterator[Event]:
    """The events of a Markdown text that begins behind ``first`` lines of its file."""
    text = _COMMENT.sub(_blank, text)
    if depth == 0:
        text = _FRONT.sub(_blank, text)
    fences, rest = scan(text)
    waiting = sorted(fences.items())
    lines = rest.split("\n")
    # Inside another directive a list of tabs is a part of what that is.
    ends = _tab_ends([a if n in fences else b for n, (a, b) in enumerate(zip(text.split("\n"), lines, strict=True))])
    ends = ends if depth == 0 else set()

    def due(line: int) -> Iterator[Event]:
        while waiting and waiting[0][0] < line:
            number, fence = waiting.pop(0)
            yield from _tabs_between(lines, ends, state, number)
            yield from _fenced(fence, number, first, depth)

    state = [0]
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(rest):
        begin, end = token.map or (0, 0)
        if token.map and token.type != "inline" and token.nesting >= 0 and not token.type.endswith(_CONTAINERS):
            yield from due(begin)
            yield from _tabs_between(lines, ends, state, begin)
        if token.type == "inline":
            yield from due(begin)
            yield from _tabs_between(lines, ends, state, begin)
            yield from _inline(token, lines, first)
            state[0] = max(state[0], end)
        elif token.type in ("code_block", "fence"):
            yield Code(token.content, "", "code", first + _first(lines, begin) + 1)
            state[0] = max(state[0], end)
        elif token.type == "html_block":
            yield from read_html(token.content, first + begin)
    yield from due(len(lines) + 1)


_CONTAINERS = ("list_open", "list_item_open", "blockquote_open")


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _first(lines: list[str], begin: int) -> int:
    while begin < len(lines) - 1 and not lines[begin].strip():
        begin += 1
    return begin


def _tab_ends(lines: list[str]) -> set[int]:
    """The lines behind a list of tabs whose content is indented; ``lines`` has of each fence the opening line alone.

    Where a copy has moved the content to the left nothing tells the end.
    """
    found: set[int] = set()
    tab, deep, apart = -1, False, False
    for number, line in enumerate(lines):
        if not line.strip():
            apart = True
            continue
        indent = len(line) - len(line.lstrip())
        if _INDENTING.match(line) and _TAB.match(line):
            if not 0 <= tab < indent:
                tab, deep = indent, False
        elif tab >= 0 and indent > tab:
            deep = True
        elif tab >= 0 and deep and apart:  # else a paragraph goes on
            found.add(number)
            tab, deep = -1, False
        apart = False
    return found


def _tabs_between(lines: list[str], ends: Collection[int], state: list[int], until: int) -> Iterator[Event]:
    """Tabs are set with signs that CommonMark does not know: each such line before ``until`` is one."""
    for number in range(state[0], min(until + 1, len(lines))):
        if found := _TAB.match(lines[number]):
            yield Heading(TAB, "{" + (found["name"] or found["d2l"] or found["mk"]).strip() + "}")
        elif number in ends or _TAB_END.match(lines[number]):
            yield Heading(TAB, "")
    state[0] = max(state[0], until + 1)


def _fenced(fence: Fence, number: int, first: int, depth: int) -> Iterator[Event]:
    if fence.info == "<pre>":
        yield from preformatted(fence.text, first + number)
    elif is_nested(fence.info) and depth < 6:
        title = re.sub(r"\{[\w:-]+\}\s*", "", fence.info)
        tab = re.match(r"\{(tab-item|tab|tabbed)\}", fence.info)
        if title:
            yield Heading(TAB, f"{{{title}}}") if tab else Words(title)
        body = re.sub(r"\A(?::[\w-]+:.*\n|---\n(?:.*\n)*?---\n)+", _blank, fence.text)
        yield from read_markdown(body, first + fence.line - 1, depth + 1)
        if tab:
            yield Heading(TAB, "")
    else:
        kind = "cell" if fence.info.startswith("{code-cell}") else "code"
        body = fence.text
        if fence.info.startswith("{"):  # options of a directive
            body = re.sub(r"\A(?::[\w-]+:.*\n)+", _blank, body)
        if fence.info.startswith("{literalinclude}"):
            body, kind = fence.info.partition("}")[2].strip(), "elsewhere"
        skipped = len(body) - len(body.lstrip("\n"))
        yield Code(body.strip("\n"), language(fence.info), kind, first + fence.line + skipped)


def _inline(token: Token, lines: list[str], first: int) -> Iterator[Event]:
    begin, end = token.map or (0, 0)
    pieces = token.children or []
    text = ""
    at = begin
    heading = re.match(r"\s*(#{1,6})\s", lines[begin]) if begin < len(lines) else None
    setext = end < len(lines) and begin + 1 < len(lines) and re.match(r"\s*(=+|-+)\s*$", lines[end])
    if (heading or setext) and not any(_DAMAGED.match(p.content) for p in pieces if p.type == "code_inline"):
        level = len(heading[1]) if heading else 1 if setext and setext[1][0] == "=" else 2
        yield Heading(
            level, "".join(p.content for p in pieces), inside=token.level > 1 or lines[begin].startswith((" ", "\t"))
        )
        return
    for number, piece in enumerate(pieces):
        if piece.type == "code_inline":
            if text.strip():
                yield Words(text)
                text = ""
            at = _where(lines, at, end, piece.content)
            damaged = _DAMAGED.match(piece.content)
            if damaged and len(piece.markup) >= 2:
                yield Code(piece.content[damaged.end() :], damaged[1], "damaged", first + at + 1)
            else:
                before, after = pieces[number - 1] if number else None, pieces[number + 1 : number + 2]
                alone = (before is None or _breaks(before)) and (not after or _breaks(after[0]))
                yield Code(piece.content, "", "alone" if alone else "inline", first + at + 1)
        elif piece.type in ("softbreak", "hardbreak"):
            at = min(at + 1, end)
            text += "\n"
        elif piece.type == "text":
            text += piece.content
        elif piece.type == "html_inline" and piece.content.lower().startswith("<br"):
            text += "\n"
    if text.strip():
        yield Words(text)


def _breaks(piece: Token) -> bool:
    blank = piece.type == "text" and not piece.content.strip()
    return blank or piece.type in ("softbreak", "hardbreak") or piece.content.lower().startswith("<br")


def _where(lines: list[str], begin: int, end: int, content: str) -> int:
    start = content.split(" ", maxsplit=1)[0]
    return next((n for n in range(begin, min(end, len(lines))) if start in lines[n]), begin)
