"""Figures of a page: each is taken from result.json by a JSON pointer, which it carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from dlmatrix.system.console import short

#: A colour sequence, and what has no sign of its own.
_ESCAPES = re.compile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_DASH = Markup('<span class="none">–</span>')  # noqa: RUF001 - what typographers put for nothing


class Source:
    """A parsed result.json, asked by pointers such as ``/envs/0/seconds/run``."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data

    def at(self, pointer: str) -> Any:
        """What is there, or None."""
        found: Any = self.data
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                return None
        return found

    def figure(self, pointer: str, form: str = "number", at: str = "") -> Markup:
        """A number as HTML, with where it stands in result.json; a dash for none.

        ``at`` is the place of the element around it (its ``data-at``), which the pointer is then below.
        """
        value = self.at(f"{at}/{pointer}" if at else pointer)
        if value is None or isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return _DASH
        shown = clean(value) if isinstance(value, str) else FORMS[form](value)
        return Markup('<span data-from="{}">{}</span>').format(pointer, shown)


def clean(value: object) -> str:
    """Text of a framework as a page can show it: no colours, nothing that turns the line around."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", str(value)))


def in_words(value: object, inner: bool = False) -> str:
    """What a check expected or found, as people write it: no braces, and no digits that nobody reads."""
    if isinstance(value, float):
        return short(value)
    if isinstance(value, Mapping):
        words = ", ".join(f"{key}: {in_words(item, True)}" for key, item in value.items())
        return f"({words})" if inner else words
    if isinstance(value, (list, tuple)):
        words = ", ".join(in_words(item, True) for item in value)
        return f"[{words}]" if inner else words
    return "-" if value is None else "yes" if value is True else "no" if value is False else str(value)


def number(value: float) -> str:
    """Three digits are enough of a rate; what is larger is whole."""
    return f"{value:,.0f}" if abs(value) >= 100 or value % 1 == 0 else f"{value:.3g}"


def scaled(value: float, unit: str) -> str:
    """A number with the prefix that leaves it between 1 and 1000."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ")):
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


#: How each kind of figure is written.
FORMS: Mapping[str, Callable[[float], str]] = {
    "number": number,
    "scaled": lambda value: scaled(value, "").strip(),
    "seconds": lambda value: f"{value:,.1f} s" if value >= 1 else scaled(value, "s"),
    "bytes": lambda value: f"{value / 1e6:,.0f} MB" if value >= 1e6 else scaled(value, "B"),
    "percent": lambda value: f"{100 * value:.3g} %",
    "accuracy": lambda value: f"{value:.3f}",
    "ratio": lambda value: f"{value:.3f}",
    "tiny": lambda value: f"{value:.1e}",
    "FLOP/s": lambda value: scaled(value, "FLOP/s"),
    "FLOP": lambda value: scaled(value, "FLOP"),
    "B/s": lambda value: scaled(value, "B/s"),
    "s": lambda value: scaled(value, "s"),
}
