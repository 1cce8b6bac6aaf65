"""The page of a run as a tree, and its parts."""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from dlmatrix.report import write as report
from dlmatrix.report.history import History
from dlmatrix.report.page import report_html
from tests.unit.report.page.tree import Page


def page_of(data: dict[str, Any], past: History | None = None) -> Page:
    return Page(report_html(report.dumps(data), past))


def verdicts(page: Page, lang: str = "en") -> list[str]:
    (listed,) = page.classed("verdicts")
    return [page.text(item, lang) for item in listed]


def section(page: Page, env: str) -> Element:
    return page.by_id("env-" + re.sub("[^a-z0-9]", "-", env))
