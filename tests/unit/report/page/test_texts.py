"""The page's texts and colours, which are data."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
from markupsafe import Markup

from dlmatrix.document.result import REPLAY, read_schema
from dlmatrix.report import page
from dlmatrix.report import write as report
from dlmatrix.report.fleet.page import fleet_html
from dlmatrix.report.history import History
from dlmatrix.report.page.texts import read_texts, text
from dlmatrix.system.toml import read_toml
from tests.unit.report.page import machines, replayed, sample

FOLDER = Path(page.__file__).parent
PALETTE = read_toml(FOLDER / "palette.toml")
#: What is read as text, and what only has to be seen, by WCAG's AA: 4.5 and 3.
TEXTS = [("text", "bg"), ("text", "panel"), ("muted", "bg"), ("muted", "panel"), ("link", "bg"), ("link", "panel")]
TEXTS += [(word, f"{word}-bg") for word in ("good", "bad", "skip")]
TEXTS += [(word, "bg") for word in ("good", "bad", "skip")] + [("bg", "text")]
SEEN = [(f"c{number}", "bg") for number in range(6)]


def test_both_languages_are_complete() -> None:
    for key, texts in read_texts().items():
        assert set(texts) == {"en", "zh"}, key
        assert all(text.strip() for text in texts.values()), key
        places = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in texts.values()]
        assert places[0] == places[1], key
        tags = [sorted(re.findall(r"</?\w+>", text)) for text in texts.values()]
        assert tags[0] == tags[1], key


def test_chinese_is_chinese_and_english_is_not() -> None:
    han = re.compile("[\u4e00-\u9fff]")
    same = {"when", "model_resnet18", "guide_markdown", "guide_rst"}  # names and numbers
    for key, texts in read_texts().items():
        assert not han.search(texts["en"]), key
        assert han.search(texts["zh"]) or key in same, key


def test_every_text_is_used_somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A text that is named and not there is an error of its own."""
    used = {"title", "comparison_title", "replay_title", "fleet_title"}

    def note(key: str, **values: object) -> Markup:
        used.add(key)
        return text(key, **values)

    monkeypatch.setattr(page, "text", note)
    data = sample.result()
    before = {"folder": str(tmp_path)}
    past = History(entries=tuple(entry | before for entry in sample.past()), unreadable=("x.json",))
    (tmp_path / "result.json").touch()
    page.report_html(report.dumps(data), past, tmp_path / "now")
    page.report_html(report.dumps({**data, "envs": data["envs"][:1]}), past, tmp_path / "now")
    unverified = sample.env("cpu-torch-2.2", "skipped", "no Python", status="unverified", built=False)
    other = sample.env("gpu-torch-2.2", "skipped", "x", document={"checks": [sample.check("imports")]})
    data["ratios"][0] |= {"low": 0.8, "ratio": 0.85, "high": 0.9}
    data["ratios"][1] |= {"low": None, "high": None}
    drifting = {**data["parity"], "drifting": ["x"]}
    page.report_html(report.dumps({**data, "envs": [unverified, other], "parity": drifting}))
    causes = sample.every_ending()[4]
    causes["document"]["checks"][-1]["data"]["diagnosis"]["causes"][0]["possible"] = True
    causes["document"]["throughput"]["roof"].append({**data["envs"][0]["document"]["throughput"]["roof"][1]})
    causes["document"]["throughput"]["roof"][-1]["name"] = "host_to_device"
    page.report_html(report.dumps({**data, "envs": [causes]}))
    page.comparison_html(sample.comparison(), "a", "b")
    page.comparison_html(sample.Compared(env_differences=(), rows=()), "a", "b")
    schema = read_schema(REPLAY)["properties"]
    for verdict in schema["verdict"]["enum"]:
        page.replay_html(report.dumps(replayed.replay(verdict=verdict)))
    for kind in schema["guide"]["properties"]["format"]["enum"]:
        guide = replayed.replay()["guide"] | {"format": kind, "language": "en"}
        page.replay_html(report.dumps(replayed.replay(guide=guide)))
    fleet_html(machines.fleet(), tmp_path / "R")
    assert set(read_texts()) - used == set()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_from_what_is_behind_them(theme: str) -> None:
    colours = PALETTE[theme]
    for wanted, pairs in ((4.5, TEXTS), (3.0, SEEN)):
        for front, back in pairs:
            assert contrast(colours[front], colours[back]) >= wanted, f"{front} on {back}"


def test_both_themes_have_the_same_colours() -> None:
    assert set(PALETTE["light"]) == set(PALETTE["dark"])
    style = (FOLDER / "templates" / "page.css").read_text(encoding="utf-8")
    named = set(re.findall(r"var\(--([a-z0-9-]+)\)", style)) - {"share"}
    assert named <= set(PALETTE["light"])
    assert not re.findall(r"#[0-9a-f]{3,8}\b", style)


def test_the_measure_of_contrast_is_wcag_s() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def contrast(one: str, two: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
