"""Repairs of what was damaged on its way: lost line breaks, holes, glued words, curly quotes.

Only what does not parse is repaired, and only where the rest then parses; every repair is told with its before and
after. A hole whose content nobody can know stays one: ``HOLE`` is what it looks like.
"""

from __future__ import annotations

import html
import re
import textwrap

from dlmatrix.guides.linebreaks import broken_up, indented_again
from dlmatrix.guides.model import Repair
from dlmatrix.guides.names import parses

#: What a scrubber of addresses leaves: it eats ``NAME.com`` of ``tf.compat`` and ``model.compile`` too.
HOLE = "***"
_CURLY = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "\xa0": " ", "，": ",", "（": "(", "）": ")", "：": ":"}
)
_GLUED_START = re.compile(
    r"^(bash|shell|console|python|sh|text|copy)\s*(?=(?:pip3?|python3?|conda|sudo|import|from|git|docker)\s)", re.I
)
_GLUED_END = re.compile(r"(/(?:cu\d{2,3}|cpu|simple))(?:bash|shell|sh|python|console)$")
_GLUED_IMPORT = re.compile(
    r"^import(?:(\w+?)as(tf|np|pd|plt|nn|keras)|(torch|torchvision|tensorflow|keras|numpy|pandas|sklearn))$", re.M
)
_COMPLETED = re.compile(r"\*\*\*((?:pat|pile|pute|mon|plex|plete|bine|bin|press|pare|mit|pletion)\w*)")
#: Signs as a page writes them.
_ENTITY = re.compile(r"&(?:quot|gt|lt|amp|#39|#x27);")
_MOST = 20_000


def straight(text: str) -> str:
    """A text with the quotes, brackets and commas that Python knows."""
    return text.translate(_CURLY)


def repair_program(text: str, line: int, damaged: bool) -> tuple[str, tuple[Repair, ...]]:
    """A program that parses, and how it came to, or the text as it was where nothing helps."""
    one_line = damaged and "\n" not in text.strip()
    if len(text) > _MOST or (parses(text) and not (one_line and "#" in text) and not _GLUED_IMPORT.search(text)):
        return text, ()
    plain = straight(text)
    if parses(plain) and plain != text:
        return plain, (_repair(line, "curly quotes made straight", text, plain),)
    if (plain := straight(html.unescape(text))) != text and parses(plain):
        return plain, (_repair(line, "signs that a page wrote as names", text, plain),)
    if (deeper := indented_again(plain)) and parses(deeper):
        return deeper, (_repair(line, "indentation restored", text, deeper),)
    glued = _GLUED_IMPORT.sub(_import, _GLUED_START.sub("", plain))
    if glued != plain and parses(glued):
        return glued, (_repair(line, "glued words taken apart", text, glued),)
    for whole in (textwrap.dedent(text), textwrap.dedent(glued)):
        filled, repairs = _filled(whole, line)
        if filled != whole and parses(filled) and not one_line:
            return filled, repairs
        if (damaged or len(whole.splitlines()) <= 2) and (broken := broken_up(filled)):
            return broken, (*repairs, _repair(line, "line breaks restored", whole, broken))
    return text, ()


def _import(glued: re.Match[str]) -> str:
    return f"import {glued[3] or f'{glued[1]} as {glued[2]}'}"


def repair_shell(text: str, line: int) -> tuple[str, tuple[Repair, ...]]:
    """A command whose quotes are straight and whose last word is its own."""
    after = html.unescape(text) if _ENTITY.search(text) else text
    if re.search(r"[“”‘’]", after):
        after = after.translate(_CURLY)
    after = _GLUED_END.sub(r"\1", _GLUED_START.sub("", after))
    after = re.sub(r"(?<=\s)[—–](?=\w[\w-]+)", "--", after)
    return (after, (_repair(line, "quotes and glued words", text, after),)) if after != text else (text, ())


def _repair(line: int, what: str, before: str, after: str) -> Repair:
    return Repair(line=line, what=what, before=before, after=after)


def _filled(text: str, line: int) -> tuple[str, tuple[Repair, ...]]:
    """Holes whose rest begins as ``com…`` does, filled with a name in scope."""
    repairs = []
    while found := _COMPLETED.search(text):
        before, tail = text[: found.start()], text[found.end() :]
        after = f"com{found[1]}"
        if not re.search(r"[\w)\]]\.$", before):  # else what it belongs to is there
            name = _receiver(text, found)
            if not name:
                break
            header = re.match(r"[\w.]*\([^:]*\) as \w+\s*:", tail)
            prefix = "with " if header and not re.search(r"\bwith$", before.rstrip()) else ""
            after = f"{prefix}{name}.{after}"
        repairs.append(_repair(line, "a hole filled", found[0], after))
        text = before + after + tail
    return text, tuple(repairs)


def _receiver(text: str, hole: re.Match[str]) -> str:
    """Whose attribute it was: a module's for ``compat``, else the last thing made before it that is used after it."""
    before, after = text[: hole.start()], text[hole.end() :]
    modules = re.findall(r"\bimport\s+[\w.]+\s+as\s+(\w+)", before) or re.findall(r"\bimport\s+(\w+)(?!\S)", before)
    if hole[1].startswith("pat"):
        return next((name for name in modules if name in ("tf", "tensorflow")), modules[0] if modules else "")
    made = re.findall(r"(?<![\w.=(,])([A-Za-z_]\w*)\s*=(?!=)(?=\s*[A-Za-z_][\w.]*\()", _without_arguments(before))
    used = [name for name in made if re.search(rf"\b{name}\.\w+\(", after)]
    return str((used or made or modules or [""])[-1])


def _without_arguments(text: str) -> str:
    """A text less what stands in brackets, whose ``name=`` are no variables."""
    depth, kept = 0, []
    for sign in text:
        depth -= sign in ")]}"
        if depth <= 0:
            kept.append(sign)
        depth += sign in "([{"
    return "".join(kept)
