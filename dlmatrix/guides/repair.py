"""Repairs of what was damaged on its way: lost line breaks, holes, glued words, curly quotes.

Only what does not parse is repaired, and only where the rest then parses; every repair is told with its before and
after. A hole whose content nobody can know stays one: ``HOLE`` is what it looks like.
"""

from __future__ import annotations

import ast
import re
import textwrap
from functools import cache

from dlmatrix.guides.model import Repair
from dlmatrix.guides.names import is_value

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
_MOST = 20_000


def parses(text: str) -> bool:
    """Whether a text is Python."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


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
    after = text
    if re.search(r"[“”‘’]", text):
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
        if re.search(r"[\w)\]]\.$", text[: found.start()]):  # what it belongs to is there
            after = f"com{found[1]}"
            repairs.append(_repair(line, "a hole filled", found[0], after))
            text = text[: found.start()] + after + text[found.end() :]
            continue
        name = _receiver(text, found)
        if not name:
            break
        tail = text[found.end() :]
        header = re.match(r"[\w.]*\([^:]*\) as \w+\s*:", tail)
        before_it = text[: found.start()].rstrip()
        prefix = "with " if header and not re.search(r"\bwith$", before_it) else ""
        after = f"{prefix}{name}.com{found[1]}"
        repairs.append(_repair(line, "a hole filled", found[0], after))
        text = text[: found.start()] + after + tail
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


def broken_up(text: str) -> str | None:
    """A program on one line with its line breaks again: the fewest statements that all parse, comments short."""
    words = re.split(r"\s+", text.strip())
    if len(words) > 1500:
        return None
    statements = _Breaker(words).best()
    if statements is None:
        return None
    whole = "\n".join(_indented(list(statements[1])))
    return whole + "\n" if parses(whole) else None


class _Breaker:
    """The cheapest way to break words into statements: one that does not parse is not taken."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._known: dict[int, tuple[float, tuple[str, ...]] | None] = {len(words): (0.0, ())}

    def best(self) -> tuple[float, tuple[str, ...]] | None:
        """From the end on, so that a long program needs no deep stack."""
        for start in range(len(self._words) - 1, -1, -1):
            self._known[start] = self._from(start)
        return self._known[0]

    def _from(self, start: int) -> tuple[float, tuple[str, ...]] | None:
        comment = self._words[start].startswith("#")
        best: tuple[float, tuple[str, ...]] | None = None
        for end in range(start + 1, min(len(self._words), start + 300) + 1):
            rest = self._known.get(end)
            if rest is None:
                continue
            piece = " ".join(self._words[start:end])
            if comment:  # the shortest behind which all parses; a value that it shows is a part of it
                found = rest[0] + 0.001 * (end - start), (piece, *rest[1])
                if not rest[1] or not is_value(rest[1][0]):
                    return found
                best = best or found
                continue
            if "#" in piece.replace("'#", "").replace('"#', "") and end - start > 1:
                break
            if is_statement(piece) and (best is None or rest[0] + 1 < best[0]):
                best = (rest[0] + 1, (piece, *rest[1]))
        return best


@cache
def is_statement(piece: str) -> bool:
    """Whether a text is one statement that does something, or the head of one that holds others."""
    head = _HEAD.fullmatch(piece)
    try:
        tree = ast.parse(f"{_OPENERS.get(piece.split(maxsplit=1)[0].rstrip(':'), '')}{piece} pass" if head else piece)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if head:
        return len(tree.body) == 1
    if len(tree.body) != 1:
        return False
    one = tree.body[0]
    if isinstance(one, ast.With | ast.For | ast.If | ast.While | ast.FunctionDef | ast.ClassDef | ast.Try):
        return False  # its head is a statement of its own
    if isinstance(one, ast.Expr):
        if re.match(r"[\w.]*[^\x00-\x7f]|[\w.]+ \(", piece):
            return False  # words of a sentence
        value = one.value
        return isinstance(value, ast.Call | ast.Await | ast.Yield) or (
            (isinstance(value, ast.Constant) and isinstance(value.value, str)) or isinstance(value, ast.Attribute)
        )
    return not isinstance(one, ast.AnnAssign) or one.value is not None


_HEAD = re.compile(r"(?:with|for|if|elif|else|while|def|class|try|except|finally|async)\b.*:", re.S)
_OPENERS = {"elif": "if 1: pass\n", "else": "if 1: pass\n", "except": "try: pass\n", "finally": "try: pass\n"}
_CONTINUE = ("elif", "else", "except", "finally")


def _indented(statements: list[str]) -> list[str]:
    """Statements with the indentation that they had: what uses a head's own names stands under it."""
    lines: list[str] = []
    number = 0
    while number < len(statements):
        one = statements[number]
        if not _HEAD.fullmatch(one):
            lines.append(one)
            number += 1
            continue
        end = _body_end(statements, number)
        lines.append(one)
        lines += ["    " + line for line in _indented(statements[number + 1 : end])]
        number = end
    return lines


def _body_end(statements: list[str], head: int) -> int:
    """Where the statements under a head end."""
    word = _word(statements[head])
    if word == "class":
        return _class_end(statements, head)
    if word == "def":
        return _function_end(statements, head)
    if "__name__" in statements[head]:
        return len(statements)
    following = statements[head + 1 :]
    if word in ("try", "if", "for", "while") or word in _CONTINUE:
        for number, one in enumerate(following):
            if _word(one) in _CONTINUE:
                return head + 1 + number
    return _related_end(statements, head, len(statements))


def _word(statement: str) -> str:
    return statement.split(maxsplit=1)[0].rstrip(":")


def _related_end(statements: list[str], head: int, count: int) -> int:
    """Behind the last statement that uses what its head, or what was made under it, names."""
    word = _word(statements[head])
    own = set(re.findall(r"\bas (\w+)", statements[head])) | set(re.findall(r"\bfor (\w+)", statements[head]))
    own |= set(re.findall(r"[(,]\s*(\w+)\s*(?=[,)=])", statements[head])) if word == "def" else set()
    last = head + 1
    for number in range(head + 1, count):
        if statements[number].startswith("#"):
            continue
        if number > head + 1 and not own & set(re.findall(r"\w+", statements[number])):
            break
        last = number
        if word != "with":
            own |= set(re.findall(r"^(\w+) [-+*/]?= ", statements[number]))
    return min(last + 1, count)


def _function_end(statements: list[str], head: int) -> int:
    """Behind a function's last return, or where none is the last statement that uses what it names."""
    count = len(statements)
    until = next((n for n in range(head + 1, count) if _word(statements[n]) in ("def", "class")), count)
    returns = [n for n in range(head + 1, until) if _word(statements[n]) == "return"]
    # Nothing returns at a program's own level.
    return returns[-1] + 1 if returns else _related_end(statements, head, until)


def _class_end(statements: list[str], head: int) -> int:
    """Behind the last method of a class, each of which has ``self``."""
    number = head + 1
    while number < len(statements):
        if _METHOD.match(statements[number]):
            number = _function_end(statements, number)
        elif number == head + 1 or (_word(statements[number]) != "def" and _before_method(statements, number)):
            number += 1
        else:
            break
    return number


_METHOD = re.compile(r"def \w+\((?:self|cls)\b")


def _before_method(statements: list[str], start: int) -> bool:
    """Whether what stands before the next method are values and comments of its class."""
    for one in statements[start:]:
        if _METHOD.match(one):
            return True
        if not re.match(r"#|[a-z]\w* = [\w'\"\[{(.-]+$", one):
            return False
    return False
