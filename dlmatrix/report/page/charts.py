"""Charts as plain SVG: pygal draws them, the page's own style sheet colours them.

What pygal adds for its own scripts and styles is taken out, so that a page holds no script but its
own and both themes colour the same picture. Texts in a chart are numbers and names of modes: what
has to be translated stands around it.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import pygal
from markupsafe import Markup

from dlmatrix.report.page.source import number, scaled

# For plugins, of which there are none here, pygal puts a finder of the old kind on the import path, and
# Python warns of it at every import that comes after (https://github.com/Kozea/pygal/pull/532).
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

#: As many lines as can be told apart by colour and dashes (page.css has as many of each).
SERIES = 6
_SVG = "{http://www.w3.org/2000/svg}"
_DROPPED = ("defs", "title", "desc")
_DROPPED_CLASSES = frozenset({"tooltip-overlay", "titles", "background"})
_FOR_SCRIPTS = frozenset({"reactive", "nofill", "tooltip-trigger", "always_show"})
#: A tenth of a pixel is what an eye tells apart.
_NUMBER = re.compile(r"-?\d+\.\d+")
#: From which spread on a linear axis shows nothing of the smaller values.
_LOGARITHMIC = 25.0
#: The height of letters on a narrow screen, their width, and that of a chart's plot (page.css: 14px of 420).
_TALL, _LETTER, _PLOT = 14, 8.4, 350


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value and the interval that it is known within."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a chart; None where there is no value."""

    name: str
    points: Sequence[Point | None]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """An SVG picture, the names of its series, and whether its scale is logarithmic."""

    svg: Markup
    kind: str
    names: tuple[str, ...]
    logarithmic: bool


def lines(labels: Sequence[str], series: Sequence[Series], label: str, *, wide: bool = False) -> Chart | None:
    """A chart of lines with intervals over equally spaced labels; None where nothing can be drawn.

    ``label`` is the id of the element that says what the chart shows; ``wide`` asks for a logarithmic
    scale where the values are far apart.
    """
    shown = [one for one in series if any(one.points)][:SERIES]
    points = [point for one in shown for point in one.points if point]
    if not points:
        return None
    low, high = min(point.low for point in points), max(point.high for point in points)
    logarithmic = wide and low > 0 and high / low > _LOGARITHMIC
    chart = _chart(pygal.Line, logarithmic=logarithmic)
    chart.range = (low, high) if logarithmic else (min(0.0, low), high or 1.0)
    if logarithmic:
        chart.y_labels = _steps(low, high)
    chart.x_labels = list(labels)
    step = math.ceil(len(labels) / _room_for(labels))
    if step > 1:
        chart.x_labels_major = list(labels[::step])
        chart.show_minor_x_labels = False
    for one in shown:
        chart.add(one.name, [_value(point) for point in one.points])
    names = tuple(one.name for one in shown)
    return Chart(svg=_plain(chart, label), kind="lines", names=names, logarithmic=logarithmic)


def bars(labels: Sequence[str], series: Sequence[Series], label: str) -> Chart:
    """Horizontal bars with intervals, one group for each label."""
    points = [point for one in series for point in one.points if point]
    chart = _chart(pygal.HorizontalBar, height=50 + 30 * len(labels))
    chart.range = (0.0, max(point.high for point in points) or 1.0)
    # From top to bottom in the order of the report.
    chart.x_labels = list(reversed(labels))
    for one in series:
        chart.add(one.name, [_value(point) for point in reversed(one.points)])
    names = tuple(one.name for one in series)
    return Chart(svg=_plain(chart, label), kind="bars", names=names, logarithmic=False)


def _chart(kind: Any, height: int = 250, **options: Any) -> Any:
    return kind(
        css=(),
        js=(),
        no_prefix=True,
        show_legend=False,
        width=420,
        height=height,
        margin=8,
        dots_size=4,
        max_scale=6,
        truncate_label=-1,
        y_labels_major_count=0,
        value_formatter=_tick,
        # What pygal leaves beside an axis is for letters of this size, whatever the page makes of them.
        style=pygal.style.Style(label_font_size=_TALL, major_label_font_size=_TALL),
        disable_xml_declaration=True,
        **options,
    )


def _room_for(labels: Sequence[str]) -> int:
    """How many of these labels stand beside each other below a chart, in the letters of a narrow screen."""
    return max(1, int(_PLOT / ((max(map(len, labels)) + 1.5) * _LETTER)))


def _steps(low: float, high: float) -> list[float]:
    """Round values for a logarithmic scale: 1, 2 and 5 of every power of ten, or powers alone where it is long."""
    powers = [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    steps = [power * digit for power in powers for digit in ((1, 2, 5) if len(powers) <= 4 else (1,))]
    return [step for step in steps if low <= step <= high]


def _tick(value: float) -> str:
    """A label of an axis: thousands are k."""
    return number(value) if abs(value) < 1000 else scaled(value, "").replace(" ", "")


def _value(point: Point | None) -> dict[str, Any] | None:
    if point is None:
        return None
    interval = {"ci": {"low": point.low, "high": point.high}} if point.low < point.high else {}
    return {"value": point.value, **interval}


def _plain(chart: Any, label: str) -> Markup:
    """pygal's picture without what is for its own scripts and styles."""
    root = ElementTree.fromstring(chart.render(is_unicode=True))  # noqa: S314 - made here, a moment ago
    for parent in list(root.iter()):
        for child in list(parent):
            words = child.get("class", "").split()
            if child.tag.removeprefix(_SVG) in _DROPPED or not _DROPPED_CLASSES.isdisjoint(words):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        words = [word for word in element.attrib.pop("class", "").split() if word not in _FOR_SCRIPTS]
        for key, value in element.attrib.items():
            element.set(key, _NUMBER.sub(_rounded, value))
        if words:
            element.set("class", " ".join(words))
    root.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-labelledby", label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - names in it are text of the tree


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found[0]):.1f}".removesuffix(".0")
