"""One requirement line (PEP 508), read as the packaging library reads it, which an image need not hold."""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import Any, Iterable

from smoke import versions

_LINE = re.compile(
    r"""^\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*
    (?:\[(?P<extras>[^\]]*)\])?\s*
    (?:@\s*(?P<url>\S+)|\((?P<bracketed>[^)]*)\)|(?P<ranges>[^;@(]*))
    \s*(?:;(?P<marker>.*))?$""",
    re.X | re.S,
)
_TOKEN = re.compile(r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<word>[A-Za-z_][\w.]*)|(?P<sign>\(|\)|===|[<>=!~]=|[<>]))""")
#: Variables that are versions; all others are compared as texts.
_VERSIONS = ("implementation_version", "platform_release", "python_full_version", "python_version")


def normalised(name: str) -> str:
    """PEP 503's form of a distribution's or extra's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Requirement:
    """A line's name, extras, ranges and marker; ValueError for one that cannot be read."""

    def __init__(self, line: str) -> None:
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"{line!r} is no requirement")
        self.name = normalised(match.group("name"))
        self.extras = tuple(normalised(extra.strip()) for extra in (match.group("extras") or "").split(",") if extra)
        self.ranges = (match.group("bracketed") or match.group("ranges") or "").strip()
        self.marker = (match.group("marker") or "").strip()
        self.text = line.partition(";")[0].strip()
        if versions.fits(self.ranges, "0") is None:
            raise ValueError(f"{line!r} has a range that cannot be read")

    def applies(self, extras: Iterable[str] = (), values: dict[str, str] | None = None) -> bool:
        """Whether the marker holds here, for one of the extras asked for or for none; ValueError for no marker."""
        values = values or environment()
        return any(holds(self.marker, dict(values, extra=extra)) for extra in (*extras, ""))


def environment() -> dict[str, str]:
    """What a marker may ask for, of this interpreter."""
    info = sys.implementation.version
    suffix = "" if info.releaselevel == "final" else f"{info.releaselevel[0]}{info.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{info.major}.{info.minor}.{info.micro}{suffix}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def holds(marker: str, values: dict[str, str]) -> bool:
    """Whether an environment marker holds; ValueError for one that cannot be read."""
    if not marker.strip():
        return True
    tokens, at = [], 0
    while at < len(marker.rstrip()):
        match = _TOKEN.match(marker, at)
        if match is None:
            raise ValueError(f"{marker!r} is no marker")
        tokens.append((match.lastgroup, match.group(match.lastgroup)))  # type: ignore[arg-type]
        at = match.end()
    return _Marker(tokens, values).whole()


class _Marker:
    """The grammar: comparisons joined by ``and``, those by ``or``, parentheses around any."""

    def __init__(self, tokens: list[Any], values: dict[str, str]) -> None:
        self._tokens, self._values = tokens, values

    def whole(self) -> bool:
        found = self._either()
        if self._tokens:
            raise ValueError("words are left over in a marker")
        return found

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise ValueError("a marker ends too early")
        kind, text = self._tokens.pop(0)
        return str(kind), str(text)

    def _took(self, token: tuple[str, str]) -> bool:
        if self._tokens[:1] != [token]:
            return False
        self._tokens.pop(0)
        return True

    def _either(self) -> bool:
        found = self._both()
        while self._took(("word", "or")):
            found = self._both() or found
        return found

    def _both(self) -> bool:
        found = self._one()
        while self._took(("word", "and")):
            found = self._one() and found
        return found

    def _one(self) -> bool:
        if self._took(("sign", "(")):
            found = self._either()
            if not self._took(("sign", ")")):
                raise ValueError("a parenthesis of a marker is left open")
            return found
        left, operator, right = self._next(), self._operator(), self._next()
        names = [text for kind, text in (left, right) if kind == "word"]
        if len(names) != 1 or names[0] not in self._values:
            raise ValueError(f"a marker compares {left[1]} with {right[1]}")
        one, other = (self._values[text] if kind == "word" else text[1:-1] for kind, text in (left, right))
        return _compared(one, operator, other, names[0])

    def _operator(self) -> str:
        kind, text = self._next()
        if (kind, text) == ("word", "not") and self._took(("word", "in")):
            return "not in"
        if kind == "text" or text in ("(", ")") or (kind == "word" and text != "in"):
            raise ValueError(f"a marker has {text} where it compares")
        return text


def _compared(left: str, operator: str, right: str, variable: str) -> bool:
    if operator in ("in", "not in"):
        return (left in right) == (operator == "in")
    if variable in _VERSIONS:
        found = versions.fits(operator + right, left)
        if found is not None:
            return found
    if variable == "extra":
        left, right = normalised(left), normalised(right)
    return {
        "==": left == right,
        "===": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }.get(operator, False)
