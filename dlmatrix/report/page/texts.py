"""What the page says, in English and in Chinese: texts.toml, and causes_zh.toml for the catalogue of causes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.gpu.diagnosis.remedies import prefixes, remedies
from dlmatrix.system.toml import read_toml

#: The languages, by the code that HTML has for each and the key it has in texts.toml.
LANGUAGES: Mapping[str, str] = {"en": "en", "zh-Hans": "zh"}


@functools.cache
def read_texts() -> dict[str, dict[str, str]]:
    """Every text by its key: {"en": …, "zh": …}. They are HTML, with {names} for what is filled in."""
    return dict(read_toml(Path(__file__).with_name("texts.toml")))


def text(key: str, **values: object) -> Markup:
    """A text in every language; the page shows the one that is chosen. Values are escaped."""
    found = read_texts()[key]
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(code, Markup(found[name]).format(**values))  # noqa: S704 - our own texts; the values are escaped
        for code, name in LANGUAGES.items()
    )


def text_of(words: Mapping[str, str]) -> Markup:
    """Words that come with both languages, as a text."""
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(code, words[name]) for code, name in LANGUAGES.items()
    )


@functools.cache
def read_causes() -> dict[str, str]:
    """Every title and remedy of today's catalogue of causes, with every prefix: its Chinese by its English."""
    chinese = read_toml(Path(__file__).with_name("causes_zh.toml"))
    known = {row.title: chinese[row.label]["title"] for row in catalogue().rows}
    for label, remedy in remedies().items():
        for key in ("text", *remedy.by_tag):
            words = chinese[label][key]
            known[remedy.words(key)] = words
            if remedy.machine:
                known |= {
                    before + remedy.words(key): chinese["prefix"][at] + words for at, before in prefixes().items()
                }
    return known


def in_chinese(words: object) -> str | None:
    """A title or a remedy of the catalogue in Chinese; None for others, such as those of an older catalogue."""
    return read_causes().get(str(words))
