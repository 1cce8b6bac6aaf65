"""Programs that lost line breaks or indentation: the fewest statements that all parse, each in its place."""

from __future__ import annotations

import ast
import re
from functools import cache

from dlmatrix.guides.names import is_value, parses


def indented_again(text: str) -> str:
    """A program whose lines all begin at the margin, though some have others under them; empty for any other."""
    pieces: list[str] = []
    for line in text.splitlines():
        if line.startswith((" ", "\t")):
            return ""
        whole = not pieces or pieces[-1].startswith("#") or is_statement(pieces[-1])
        pieces = [*pieces, line] if whole else [*pieces[:-1], f"{pieces[-1]} {line}"]
    kept = [piece for piece in pieces if piece.strip()]
    return "\n".join(_indented(kept)) + "\n" if any(map(_HEAD.fullmatch, kept)) else ""


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
