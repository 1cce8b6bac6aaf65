"""The page of a guide's replay."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest

from dlmatrix.document.result import REPLAY, RUN, VERDICTS, read_result, read_schema, wrong_in
from dlmatrix.errors import UsageError
from dlmatrix.report.page import replay_html
from dlmatrix.report.write import dumps
from tests.unit.report.page.replayed import replay
from tests.unit.report.page.sample import HOSTILE
from tests.unit.report.page.tree import Page


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(replay_html(dumps(replay())))


def test_it_has_verdict_break_change_and_every_step(page: Page) -> None:
    text = page.text(page.root)
    for fact in (
        "broken, mended 1 passed 1 failed 1 not judged 1 skipped",
        "broken at line 8: AttributeError: two; mended by alpha → alpha==2.0",
        "line 8 of the guide",
        "env of the matrix cpu-torch-2.13",
        "-pip install alpha",
    ):
        assert fact in text
    rows = [page.text(row) for row in page.by_id("steps").iter("tr")][1:]
    assert [row.split()[0] for row in rows] == ["4", "8", "12", "14"]
    assert "this site's index takes its place" in rows[0]
    assert "it needs a GPU" in rows[2]


def test_in_chinese_verdict_reasons_and_notes_are_chinese(page: Page) -> None:
    text = page.text(page.root, "zh-Hans")
    for fact in (
        "已找到改法",
        "第 8 行失败",
        "需要 GPU",
        "用于其他操作系统",
        "没有应答",
        "恢复了换行",
        "没有软件包索引应答",
    ):
        assert fact in text, fact


def test_hostile_text_is_text(page: Page) -> None:
    assert len(list(page.root.iter("script"))) == 2
    assert page.text(page.root).count("<script>window.hacked=1</script>") == 4
    assert HOSTILE[-1] in page.text(page.root)


def test_the_page_holds_the_bytes_of_result_json(page: Page) -> None:
    link = page.by_id("download").attrib["href"]
    assert gzip.decompress(base64.b64decode(link.partition(",")[2])).decode() == dumps(replay())


def test_the_sample_is_of_the_schema_and_is_read_as_a_replay_alone(tmp_path: Path) -> None:
    assert wrong_in(replay(), read_schema(REPLAY)) is None
    assert list(VERDICTS) == read_schema(REPLAY)["properties"]["verdict"]["enum"]
    (tmp_path / "result.json").write_text(dumps(replay()), encoding="utf-8")
    assert read_result(tmp_path, (RUN, REPLAY)).kind == REPLAY
    with pytest.raises(UsageError, match="is of a guide's replay, not of a run"):
        read_result(tmp_path)
