"""The catalogue of causes in Chinese."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from dlmatrix.gpu.diagnosis.catalogue import Row, catalogue
from dlmatrix.gpu.diagnosis.remedies import cases, prefixes, remedies, told
from dlmatrix.report import page
from dlmatrix.report import write as report
from dlmatrix.report.page.texts import in_chinese
from dlmatrix.system.toml import read_toml
from tests.unit.report.page import sample

CHINESE = read_toml(Path(page.__file__).with_name("causes_zh.toml"))
ROWS = catalogue().rows


def test_every_cause_is_there_and_no_other() -> None:
    assert list(CHINESE) == ["prefix", *(row.label for row in ROWS)]
    assert set(CHINESE["prefix"]) == set(prefixes())
    for label, remedy in remedies().items():
        assert set(CHINESE[label]) == {"title", "text", *remedy.by_tag}, label


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_a_command_is_the_same_in_both(row: Row) -> None:
    remedy, chinese = remedies()[row.label], CHINESE[row.label]
    pairs = [(row.title, chinese["title"])]
    pairs += [(remedy.words(key), chinese[key]) for key in ("text", *remedy.by_tag)]
    pairs += [(words, CHINESE["prefix"][place]) for place, words in prefixes().items()]
    for english, translated in pairs:
        quoted = [Counter(re.findall("`[^`]+`", words)) for words in (english, translated)]
        assert quoted[0] == quoted[1]
        plain = re.sub("`[^`]+`", "", english)
        # Chinese text is nothing but a command where the English one is.
        assert bool(re.search("[\u4e00-\u9fff]", translated)) == bool(re.search(r"[A-Za-z]{2}", plain)), english
        assert "  " not in translated


def test_equal_english_is_equal_chinese() -> None:
    for row in ROWS:
        assert in_chinese(row.title) == CHINESE[row.label]["title"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_every_remedy_is_known_in_every_place(row: Row) -> None:
    for place, tags in cases(row.label, row.layer):
        assert in_chinese(told(row.label, tags)) is not None, place


def test_the_page_shows_what_it_knows_in_both_languages() -> None:
    env = sample.every_ending()[4]
    cause = env["document"]["checks"][-1]["data"]["diagnosis"]["causes"][0]
    row = ROWS[0]
    cause |= {"label": row.label, "title": row.title, "remedy": "as an older catalogue had it"}
    unread = {**cause, "title": ["no", "text"]}
    env["document"]["checks"][-1]["data"]["diagnosis"]["causes"].append(unread)
    html = page.report_html(report.dumps({**sample.result(), "envs": [env]}))
    assert f'<span lang="en">{row.title}</span><span lang="zh-Hans">{in_chinese(row.title)}</span>' in html
    assert '<q lang="en">as an older catalogue had it</q>' in html
