"""The pages in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.report import write as report
from dlmatrix.report.fleet.page import fleet_html
from dlmatrix.report.history import History
from dlmatrix.report.page import comparison_html, replay_html, report_html
from tests.unit.report.page import machines, replayed, sample
from tests.unit.report.page.browser import INSTALL, Browser, browser, find

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find() is None, reason=f"there is no Chromium on the PATH: {INSTALL}"),
]
WIDTH, PHONE = 1200, 360
SHOWN = "(e) => !!e && e.checkVisibility() && e.getBoundingClientRect().height > 0"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    past = History(entries=tuple(sample.past()))
    texts = {
        "report": report_html(report.dumps(sample.result()), past, folder / "reports" / "now"),
        "comparison": comparison_html(sample.comparison(), "reports/a", "reports/b"),
        "replay": replay_html(report.dumps(replayed.replay())),
        "fleet": fleet_html(machines.fleet(), folder / "run"),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(params=["report", "comparison", "replay", "fleet"])
def page(chromium: Browser, pages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A page just opened on a wide screen; at the end nothing may have gone wrong or asked for the network."""
    chromium.errors.clear()
    chromium.requests.clear()
    chromium.size(WIDTH, 900)
    chromium.media()
    chromium.open(pages[request.param])
    yield chromium
    assert chromium.errors == []
    assert [url for url in chromium.requests if not url.startswith(("file:", "blob:", "data:"))] == []


only_report = pytest.mark.parametrize("page", ["report"], indirect=True)


@only_report
def test_every_section_is_there_to_be_seen(page: Browser) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    assert links == ["verdicts", "overview", "ratios", "parity", "envs"]
    for name in links:
        assert page.evaluate(f"({SHOWN})(document.getElementById('{name}'))"), name
    assert page.evaluate("document.querySelectorAll('.env').length") == len(sample.every_ending())
    assert page.evaluate("window.hacked") is None


@only_report
def test_charts_are_drawn_with_their_intervals(page: Browser) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    charts = page.evaluate(
        "[...document.querySelectorAll('.pygal-chart')].map((svg) => ["
        " svg.getBoundingClientRect().height,"
        " [...svg.querySelectorAll('.line:not(.axis):not(.guide), .bar rect')].length,"
        " [...svg.querySelectorAll('path, rect, circle')].every((e) => {"
        "   const s = getComputedStyle(e); return s.stroke !== 'rgb(0, 0, 0)' && s.fill !== 'rgb(0, 0, 0)'; })])"
    )
    assert len(charts) > 20
    assert [chart for chart in charts if chart[0] < 80 or not chart[1] or not chart[2]] == []
    ends = page.evaluate("[...document.querySelectorAll('.ci path')].map((e) => getComputedStyle(e).strokeWidth)")
    assert set(ends) == {"1.5px"}
    assert len(ends) > 100


@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
def test_the_language_changes_in_the_page(page: Browser, lang: str) -> None:
    assert page.evaluate("document.documentElement.lang") == "en"
    page.evaluate("window.stays = 1")
    page.evaluate(f"document.querySelector('[data-lang-is={lang}]').click()")
    assert page.evaluate("[document.documentElement.lang, window.stays]") == [lang, 1]
    title, heading = page.evaluate("[document.title, document.querySelector('h1').innerText]")
    assert title == heading
    assert title.isascii() is (lang == "en")
    other = {"en": "zh-Hans", "zh-Hans": "en"}[lang]
    seen = f"[...document.querySelectorAll('main span[lang={other}]')].filter({SHOWN}).map((e) => e.innerText)"
    assert page.evaluate(seen) == []
    pressed = "[...document.querySelectorAll('[data-lang-is][aria-pressed=true]')].map((b) => b.dataset.langIs)"
    assert page.evaluate(pressed) == [lang]
    assert page.evaluate("localStorage.length + document.cookie.length") == 0


def test_a_browser_that_speaks_chinese_gets_chinese(chromium: Browser, pages: dict[str, Path]) -> None:
    chromium.open(pages["report"], lang="zh-CN")
    assert chromium.evaluate("document.documentElement.lang") == "zh-Hans"
    assert chromium.evaluate("document.title") == "深度学习环境报告"


def background(page: Browser) -> int:
    """How light the page's ground is, from 0 to 255."""
    return int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))


def test_both_themes_work_by_system_and_by_button(page: Browser) -> None:
    assert background(page) > 240
    page.media(prefers_color_scheme="dark")
    assert background(page) < 40
    page.evaluate("document.querySelector('[data-theme-is=light]').click()")
    assert background(page) > 240
    page.media(prefers_color_scheme="light")
    page.evaluate("document.querySelector('[data-theme-is=dark]').click()")
    assert background(page) < 40
    page.media("print")
    assert background(page) > 240
    page.media()
    page.evaluate("document.querySelector('[data-theme-is=auto]').click()")
    assert background(page) > 240


@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
def test_a_phone_scrolls_one_way_only(page: Browser, lang: str) -> None:
    page.size(PHONE, 740, 2)
    page.evaluate(f"document.querySelector('[data-lang-is={lang}]').click()")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll, svg')"
        f" && e.getBoundingClientRect().right > {PHONE}).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []


@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
def test_on_a_phone_ratios_comparisons_and_checks_are_on_the_screen(page: Browser, lang: str) -> None:
    """Not only within reach of a finger: nothing of these tables has to be scrolled to the side."""
    page.size(390, 844, 2)
    page.evaluate(f"document.querySelector('[data-lang-is={lang}]').click()")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    tables = page.evaluate("document.querySelectorAll('table.cards').length")
    assert tables >= 2
    beyond = page.evaluate(
        "[...document.querySelectorAll('table.cards td, table.cards tbody th')].filter((e) => e.checkVisibility())"
        ".filter((e) => e.getBoundingClientRect().right > 390 || e.scrollWidth > e.clientWidth + 1)"
        ".map((e) => e.outerHTML.slice(0, 120))"
    )
    assert beyond == []


@only_report
@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_a_chart_do_not_overprint_and_are_not_cut(page: Browser, width: int) -> None:
    page.size(width, 900)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    wrong = page.evaluate(
        "[...document.querySelectorAll('.pygal-chart')].flatMap((svg) => {"
        " const frame = svg.getBoundingClientRect();"
        " return ['x', 'y'].flatMap((axis) => {"
        "  const boxes = [...svg.querySelectorAll(`.axis.${axis} text`)].filter((e) => e.checkVisibility())"
        "   .map((e) => [e.textContent, e.getBoundingClientRect()]);"
        "  const cut = boxes.filter(([, b]) => b.left < frame.left - 2 || b.right > frame.right + 2);"
        "  const over = boxes.filter(([, a], n) => boxes.some(([, b], m) => m > n && a.left < b.right"
        "   && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom));"
        "  return [...cut, ...over].map(([text]) => `${svg.getAttribute('aria-labelledby')} ${axis} ${text}`); }); })"
    )
    assert wrong == []


@only_report
def test_the_box_of_an_env_looks_as_if_it_opens(page: Browser) -> None:
    mark = "getComputedStyle(document.querySelector('.env{} > summary'), '::before').content"
    assert "\u25b8" in page.evaluate(mark.format(":not([open])"))
    assert "\u25be" in page.evaluate(mark.format("[open]"))
    assert page.evaluate(f"({SHOWN})(document.querySelector('.env:not([open]) > summary .opens'))")


@only_report
def test_text_in_charts_can_be_read_on_a_phone(page: Browser) -> None:
    page.size(PHONE, 740, 2)
    assert (
        page.evaluate(
            "Math.min(...[...document.querySelectorAll('.pygal-chart text')].filter((e) => e.checkVisibility())"
            ".map((e) => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a))"
        )
        > 9
    )


@only_report
def test_everything_works_by_keyboard(page: Browser) -> None:
    reached: list[str] = []
    for _ in range(400):
        page.press("Tab")
        about = page.evaluate(
            "(() => { const e = document.activeElement; const seen = e.matches(':focus-visible');"
            " const name = e.id || e.innerText.trim().slice(0, 30);"
            " return [e.tagName, name, seen && getComputedStyle(e).outlineStyle]; })()"
        )
        if about[0] == "BODY":
            break
        assert about[2] in ("solid", "auto"), about
        reached.append(f"{about[0]} {about[1]}")
    assert reached[0] == "A Skip to the content"
    for wanted in ("BUTTON 中文", "BUTTON Dark", "A download", "A cpu-torch-2.13"):
        assert wanted in reached
    assert len([one for one in reached if one.startswith("SUMMARY")]) >= len(sample.every_ending())
    page.evaluate("document.querySelector('[data-lang-is=zh-Hans]').focus()")
    page.press("Enter", "\r")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.evaluate("document.querySelector('[data-theme-is=dark]').focus()")
    page.press(" ", " ")
    assert background(page) < 40
    closed = page.evaluate("document.querySelector('.env:not([open])').id")
    page.evaluate(f"document.querySelector('.verdicts a[href=\"#{closed}\"]').focus()")
    page.press("Enter", "\r")
    assert page.evaluate(f"new Promise((done) => setTimeout(() => done(document.getElementById('{closed}').open)))")


def test_what_a_screen_reader_is_told(page: Browser) -> None:
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "link", "heading", "region", "image", "columnheader"):
        assert all(name.strip() for name in named.get(role, [])), role
    assert "Language" in named["group"]
    assert len(named["main"]) == 1
    if "image" in named:
        assert "Training: images per second by batch size, with 95 % intervals" in named["image"]


@only_report
def test_the_download_is_result_json_byte_for_byte(page: Browser, tmp_path: Path) -> None:
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path), eventsEnabled=True)
    page.evaluate("document.getElementById('download').click()")
    begun = page.wait("Browser.downloadWillBegin")
    assert begun["suggestedFilename"] == "result.json"
    while page.wait("Browser.downloadProgress")["state"] != "completed":
        pass
    assert (tmp_path / "result.json").read_text(encoding="utf-8") == report.dumps(sample.result())


@only_report
def test_a_figure_under_the_pointer_tells_its_place_and_exact_value(page: Browser) -> None:
    told = page.evaluate(
        "new Promise((done) => { const f = document.querySelector('.env [data-at] [data-from]');"
        " new MutationObserver(() => done(f.title)).observe(f, { attributes: true });"
        " f.dispatchEvent(new MouseEvent('mouseover', { bubbles: true })); })"
    )
    value, place = told.split("\n")
    found: Any = sample.result()
    for key in place.split("/")[1:]:
        found = found[int(key)] if isinstance(found, list) else found[key]
    assert json.loads(value) == found


def test_it_prints(page: Browser) -> None:
    assert page.pdf().startswith(b"%PDF")
    closed = page.evaluate("document.querySelectorAll('details:not([open])').length")
    assert (closed > 3) is page.evaluate("!!document.querySelector('details')")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    page.size(718, 1000)  # what A4 leaves between its margins
    page.media("print")
    beyond = "[...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > 719)"
    assert page.evaluate(f"{beyond}.map((e) => e.outerHTML.slice(0, 120))") == []
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == closed
    shown = "getComputedStyle(document.querySelector('.switches')).display"
    assert page.evaluate(f"[matchMedia('print').matches, {shown}]") == [True, "none"]


only_fleet = pytest.mark.parametrize("page", ["fleet"], indirect=True)


@only_fleet
def test_a_table_of_machines_sorts_by_mouse_and_by_key_and_says_so(page: Browser) -> None:
    first = "document.querySelector('table[data-sorts] tbody tr th').textContent"
    head = "document.querySelectorAll('table[data-sorts] thead th')"
    assert page.evaluate(first) == "gpu1"
    page.evaluate(f"{head}[3].querySelector('button').click()")
    assert page.evaluate(f"{head}[3].getAttribute('aria-sort')") == "ascending"
    assert page.evaluate(first) == "learns-nothing"
    page.evaluate(f"{head}[3].querySelector('button').focus()")
    page.press("Enter", "\r")
    assert page.evaluate(f"{head}[3].getAttribute('aria-sort')") == "descending"
    assert page.evaluate(first) == "gpu10"
    page.evaluate(f"{head}[0].querySelector('button').click()")
    names = page.evaluate("[...document.querySelectorAll('table[data-sorts] tbody tr th')].map((e) => e.textContent)")
    assert names[:10] == [f"gpu{number}" for number in range(1, 11)]
    assert page.evaluate(f"[...{head}].map((e) => e.getAttribute('aria-sort')).join()") == "ascending" + ",none" * 8


@only_fleet
def test_a_tile_leads_to_its_machine(page: Browser) -> None:
    page.evaluate("document.querySelector('.tile.out').click()")
    assert page.evaluate("document.querySelector('tr:target th').textContent") == "gpu4"
