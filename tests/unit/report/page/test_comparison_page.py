"""The page of a comparison: what compare found, with its marks."""

from __future__ import annotations

import pytest

from dlmatrix.report.page import comparison_html
from tests.unit.report.page import sample
from tests.unit.report.page.tree import Page


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(comparison_html(sample.comparison(), "reports/a", "reports/b<"))


def test_every_row_has_its_verdict_ratio_interval_floor_and_reason(page: Page) -> None:
    rows = [page.text(row) for row in page.by_id("rows").iter("tr")][1:]
    assert (
        rows[0]
        == "SLOWER cnn/train/eager/128/fp32/device fastest 0.901 [0.888, 0.915] 2 % the whole interval is below 0.98"
    )
    assert rows[3] == "UNCLEAR cnn/train/compiled/128/fp32/device median 1.000 2 % one process only"
    assert [row.split()[0] for row in rows] == ["SLOWER", "SAME", "FASTER", "UNCLEAR"]
    in_chinese = [page.text(row, "zh-Hans") for row in page.by_id("rows").iter("tr")][1:]
    assert [row.split()[0] for row in in_chinese] == ["更慢", "相同", "更快", "不确定"]


def test_marks_missing_rows_changes_and_differences_are_said(page: Page) -> None:
    text = page.text(page.root)
    for fact in (
        "reports/b< ÷ reports/a 1 SLOWER 1 UNCLEAR 1 FASTER 1 SAME",
        f"reports/b<, cpu-torch-2.13: {sample.MARK}",
        "cnn/train/eager/512/fp32/device not enough memory",
        "image 270 MB 310 MB 1.148",
        "driver 580.95.05 575.57.08",
    ):
        assert fact in text


def test_hostile_text_is_text(page: Page) -> None:
    assert len(list(page.root.iter("script"))) == 2
    assert page.text(page.root).count("<script>window.hacked=1</script>") == 2


def test_two_alike_runs_have_no_differences() -> None:
    page = Page(comparison_html(sample.Compared(env_differences=(), rows=()), "a", "b"))
    assert "Nothing: both were made of the same and measured alike." in page.text(page.root)
