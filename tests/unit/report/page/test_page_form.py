"""The form of the page of a run: figures that can be traced, charts, ids, headings, and text that is text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from itertools import pairwise
from typing import Any

from dlmatrix.report import write as report
from dlmatrix.report.history import History
from dlmatrix.report.page import report_html
from dlmatrix.report.page.source import FORMS, Source
from tests.unit.report.page import sample
from tests.unit.report.page.run_page import page_of, section, verdicts
from tests.unit.report.page.tree import Page

#: The page of a full matrix is to stay below this.
LONGEST = 3_000_000


def test_every_figure_is_what_result_json_has_where_it_says(page: Page, data: dict[str, Any]) -> None:
    source, seen = Source(data), 0
    for figure in page.root.iter():
        pointer = figure.get("data-from")
        if pointer is None:
            continue
        if not pointer.startswith("/"):
            around = next(e.get("data-at") for e in page.above(figure) if e.get("data-at") is not None)
            pointer = f"{around}/{pointer}"
        value = source.at(pointer)
        assert value is not None, pointer
        shown = page.text(figure)
        assert shown in {value if isinstance(value, str) else form(value) for form in FORMS.values()}, pointer
        seen += 1
    assert seen > 500


def test_the_page_holds_the_bytes_of_result_json(page: Page) -> None:
    link = page.by_id("download")
    kind, _, packed = link.get("href", "").partition(",")
    assert kind == "data:application/gzip;base64"
    assert gzip.decompress(base64.b64decode(packed)).decode() == report.dumps(sample.result())


def test_the_same_run_gives_the_same_page() -> None:
    text = report.dumps(sample.result())
    assert report_html(text) == report_html(text)


def test_hostile_text_is_text(page: Page) -> None:
    scripts = list(page.root.iter("script"))
    assert [script.get("type", "") for script in scripts] == ["application/json", ""]
    (policy,) = [e.get("content", "") for e in page.root.iter("meta") if e.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256((scripts[1].text or "").encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    text = page.text(page.root)
    assert "<script>window.hacked=1</script>red \N{REPLACEMENT CHARACTER}gnirts" in text
    assert "ImportError: 无法导入模块" in text
    assert not [c for c in text if c in "\x1b\u202e"]
    for element in page.root.iter():
        assert not [name for name in element.attrib if name.startswith("on")]


def test_nothing_on_it_needs_a_network(page: Page) -> None:
    for element in page.root.iter():
        assert element.tag not in ("img", "link", "iframe", "object", "embed", "base", "form")
        assert not {"src", "srcset", "xlink:href", "action"} & set(element.attrib)
        assert element.get("href", "#").startswith(("#", "data:application/gzip"))
    assert "url(" not in "".join(e.text or "" for e in page.root.iter("style"))


def test_ids_are_one_of_a_kind_and_what_refers_to_one_finds_it(page: Page) -> None:
    ids = [e.get("id") for e in page.root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for element in page.root.iter():
        for name in (element.get("aria-labelledby") or "").split():
            assert name in ids
            assert page.text(page.by_id(name))
        if element.get("href", "").startswith("#"):
            assert element.get("href", "")[1:] in ids


def test_headings_are_in_order(page: Page) -> None:
    levels = [int(e.tag[1]) for e in page.root.iter() if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    for before, after in pairwise(levels):
        assert after <= before + 1


def test_every_chart_has_its_figures_in_a_table_beside_it(page: Page) -> None:
    charts = page.classed("pygal-chart")
    assert len(charts) > 20
    for chart in charts:
        assert chart.get("role") == "img"
        charts_of = next(e for e in page.above(chart) if e.get("class") == "charts")
        siblings = list(page.parents[charts_of])
        after = siblings[siblings.index(charts_of) + 1]
        assert after.find(".//table") is not None


def test_lines_of_a_chart_differ_by_more_than_colour(page: Page) -> None:
    (style,) = [e.text or "" for e in page.root.iter("style")]
    dashes = re.findall(r"\.color-(\d) \.line \{ stroke-dasharray: ([^;]+);", style)
    assert [number for number, _ in dashes] == ["1", "2", "3", "4", "5"]
    assert len({dash for _, dash in dashes}) == 5
    for word in ("passed", "failed", "error", "skipped"):
        assert re.search(rf'\.{word}::before {{ content: "[^"]+ " / ""', style)


def test_tables_have_headings_for_rows_or_columns(page: Page) -> None:
    for table in page.root.iter("table"):
        heads = list(table.iter("th"))
        assert heads
        assert all(head.get("scope") in ("col", "row", "rowgroup") for head in heads)
        wrapper = page.parents[table]
        assert (wrapper.get("role"), wrapper.get("tabindex")) == ("group", "0")


def test_a_run_of_which_little_is_known_has_a_page() -> None:
    page = page_of({"envs": [sample.env("cpu-torch-2.13", "error", "no engine")]})
    assert "no engine" in verdicts(page)[0]
    assert page_of({"envs": []}).classed("verdicts")


def test_figures_that_are_none_do_not_stop_a_page() -> None:
    """As json reads them from a report of an older version."""
    env = sample.every_ending()[0]
    env["document"]["training"]["test_accuracy"] = float("nan")
    env["seconds"]["run"] = float("inf")
    env["document"]["throughput"]["rows"] = env["document"]["throughput"]["rows"][:1]
    env["document"]["throughput"]["rows"][0]["images_per_second"] = {"median": 0.0, "iqr": 0.0, "low": 0.0, "high": 0.0}
    page = Page(report_html(json.dumps(sample.result([env]))))
    assert "Accuracy nan" in page.text(section(page, "cpu-torch-2.13"))


def test_a_full_matrix_stays_short() -> None:
    names = [f"{variant}-torch-{n}" for variant in ("cpu", "gpu") for n in range(13)]
    whole = sample.every_ending()
    envs = [{**(whole[0] if name.startswith("cpu") else sample.no_gpu(name)), "name": name} for name in names]
    past = History(entries=tuple(entry for name in names for entry in sample.past(30, name)))
    assert len(report_html(report.dumps(sample.result(envs)), past).encode()) < LONGEST


def test_modes_of_a_gpu_that_have_one_batch_each_are_bars() -> None:
    env = sample.every_ending()[3]
    rows = [row for row in env["document"]["throughput"]["rows"] if row["model"] == "resnet18" and row["batch"] == 128]
    full = sample.row("resnet18", "train", "channels_last", 2048, 12400.0, "cuda", precision="amp")
    env["document"]["throughput"]["rows"] = [*rows, full]
    page = page_of(sample.result([env]))
    (chart,) = [c for c in page.classed("pygal-chart") if c.get("aria-labelledby", "").endswith("resnet18-train")]
    caption = page.text(page.by_id("env-gpu-torch-2-13-resnet18-train"))
    assert caption == "training: images per second at batch 128, with 95 % intervals"
    shown = page.text(chart)
    assert all(name in shown for name in ("eager tf32", "eager bf16", "channels_last amp"))
    assert "channels_last amp 2,048 12,400" in page.text(section(page, "gpu-torch-2.13"))


def test_over_time_only_rates_of_one_model_stand_in_one_chart() -> None:
    """A GPU's runs of older versions were told by the small CNN."""
    entries = [{**entry, "env": "gpu-torch-2.13"} for entry in sample.past(4)]
    for entry in entries[2:]:
        entry["train"] = {**entry["train"], "row": "resnet18/train/channels_last/128/amp/device", "median": 12151.0}
    env = sample.every_ending()[3]
    page = page_of(sample.result([env]), History(entries=tuple(entries)))
    (chart,) = [c for c in page.classed("pygal-chart") if c.get("aria-labelledby", "").endswith("past-train")]
    assert len([e for e in chart.iter() if "dot" in e.get("class", "").split() and e.tag == "circle"]) == 2
    table = page.text(section(page, "gpu-torch-2.13"))
    assert "resnet18/train/channels_last/128/amp/device" in table
    assert "cnn/train/channels_last/128/fp32/device" in table


def test_over_time_quick_and_full_runs_are_lines_of_their_own() -> None:
    """--quick tells an eager row, a full run the best mode's: joined they look like a tenfold jump."""
    entries = sample.past(4)
    for entry in entries[2:]:
        entry["train"] = {**entry["train"], "row": "cnn/train/eager/128/fp32/device"}
    page = page_of(sample.result(), History(entries=tuple(entries)))
    (chart,) = [c for c in page.classed("pygal-chart") if c.get("aria-labelledby", "").endswith("2-13-past-train")]
    drawn = [e for e in chart.iter() if e.tag == "g" and "series" in e.get("class", "").split()]
    dots = [sum(e.tag == "circle" and "dot" in e.get("class", "").split() for e in one.iter()) for one in drawn]
    assert sorted(number for number in dots if number) == [2, 2]
