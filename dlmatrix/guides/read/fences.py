"""Code fences, found line by line at any indentation.

CommonMark takes fences under ``*   {Tab}`` lists, of which TensorFlow's pages are full, for indented text; a scan of
the lines finds them. What it finds is taken out, so that CommonMark reads the rest with its lines where they were.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPEN = re.compile(
    r"^(?P<indent>[ \t>]*?(?:(?:[*+-]|\d+[.)])[ \t]+)?)(?P<fence>`{3,}|~{3,}|:{3,}(?=\{))[ \t]*(?P<info>[^`\n]*)$"
)
_LIQUID = re.compile(r"^\s*\{%-?\s*(?:highlight|codeblock)\s*(?P<info>[^%]*?)-?%\}\s*$")
_LIQUID_END = re.compile(r"^\s*\{%-?\s*end(?:highlight|codeblock)")
_PRE = re.compile(r"<pre\b", re.I)
_PRE_END = re.compile(r"</pre\s*>", re.I)


#: A copy that loses line breaks leaves a language with the first line glued to it, and a fence behind the last one.
_GLUED_INFO = re.compile(
    r"(python3?|py|bash|shell|sh|console)\s*(?=import[\s\w]|from\s|pip3?\s|conda\s|sudo\s|git\s|\$\s)", re.I
)
_GLUED_CLOSE = re.compile(r"(?<=[^\s`])[ \t]*`{3}[ \t]*$")


@dataclass(frozen=True)
class Fence:
    """A fenced block: its text without the indentation of the fence, and the line that it begins on, from 1."""

    text: str
    info: str
    line: int
    closed: bool


def scan(text: str) -> tuple[dict[int, Fence], str]:
    """Every fence by the line, from 0, that opens it, and the text with their lines left empty."""
    lines = text.split("\n")
    found: dict[int, Fence] = {}
    number = 0
    while number < len(lines):
        opened = _OPEN.match(lines[number])
        liquid = None if opened else _LIQUID.match(lines[number])
        pre = None if opened or liquid else _PRE.search(lines[number])
        if not (opened or liquid or pre):
            number += 1
            continue
        if opened:
            end = _closing(lines, number, opened)
        else:
            closer = _LIQUID_END if liquid else _PRE_END
            end = next((n for n in range(number, len(lines)) if closer.search(lines[n])), len(lines))
            if pre and end == len(lines):
                number += 1
                continue
        if pre:
            body, info, first = "\n".join(lines[number : end + 1]), "<pre>", number + 1
        else:
            indent = len(lines[number]) - len(lines[number].lstrip(" \t>")) if opened else 0
            info, first = (opened or liquid)["info"].strip(), number + 2  # type: ignore[index]
            inside = [_dedent(line, indent, ">" in lines[number][:indent]) for line in lines[number + 1 : end]]
            if opened and (glued := _GLUED_INFO.match(info)):
                info, first, inside = glued[1], number + 1, [info[glued.end() :], *inside]
            if opened and end < len(lines) and (last := _GLUED_CLOSE.search(lines[end])):
                inside.append(_dedent(lines[end][: last.start()], indent, False))
            body = "\n".join(inside)
        found[number] = Fence(text=body, info=info, line=first, closed=end < len(lines))
        kept = _LIST.match(lines[number]) if opened else None
        lines[number : end + 1] = [kept[0] if kept else "", *[""] * (min(end, len(lines) - 1) - number)]
        number = end + 1
    return found, "\n".join(lines)


_LIST = re.compile(r"^[ \t]*(?:[*+-]|\d+[.)])[ \t]+(?=`|~)")


def _closing(lines: list[str], opening: int, opened: re.Match[str]) -> int:
    fence = opened["fence"]
    closer = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    glued = len(lines)
    for number in range(opening + 1, len(lines)):
        if closer.match(lines[number]):
            return number
        if glued < number and _OPEN.match(lines[number]):  # with a language: what was open is closed before
            return glued
        if (
            glued == len(lines)
            and (last := _GLUED_CLOSE.search(lines[number]))
            and "`" not in lines[number][: last.start()]
        ):
            glued = number
    return glued


def _dedent(line: str, indent: int, quoted: bool) -> str:
    if quoted:
        return re.sub(r"^[ \t]*(?:>[ \t]?)+", "", line)
    blank = len(line) - len(line.lstrip(" \t"))
    return line[min(blank, indent) :]


def language(info: str) -> str:
    """The language that a fence's info string names: of ``{.python .input}``, ``{code-block} python``, ``py3``."""
    if directive := re.match(r"\{([\w:-]+)\}\s*(\S*)", info):
        name, argument = directive.groups()
        return argument if name in _CODE_DIRECTIVES else "" if name.startswith(".") else LANGUAGES.get(name, name)
    if attributes := re.match(r"\{\s*\.(\w+)", info):
        return attributes[1]
    word = re.split(r"[\s,{:=]", info.strip(), maxsplit=1)[0]
    return word.lower()


#: Sphinx's directives of code whose language is their name's.
LANGUAGES = {"doctest": "pycon", "testcode": "python", "testsetup": "python", "testcleanup": "python",
              "testoutput": "text", "ipython": "python", "parsed-literal": ""}  # fmt: skip
_CODE_DIRECTIVES = ("code-block", "code", "sourcecode", "code-cell", "prompt")


def is_nested(info: str) -> bool:
    """Whether a fence holds Markdown again: MyST's ``{note}``, ``{tab-item}`` and the like, or ``md``."""
    directive = re.match(r"\{([\w:-]+)\}", info)
    if directive:
        return directive[1] not in (
            *_CODE_DIRECTIVES,
            *LANGUAGES,
            "literalinclude",
            "math",
            "eval-rst",
            "mermaid",
            "figure",
            "image",
            "toctree",
        )
    return False
