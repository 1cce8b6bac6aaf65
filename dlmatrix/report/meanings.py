"""What each check means in plain words: meanings.toml."""

from __future__ import annotations

import functools
from pathlib import Path

from dlmatrix.system.toml import read_toml


@functools.cache
def read_meanings() -> dict[str, dict[str, str]]:
    """By the check's id: {"en": …, "zh": …}."""
    return dict(read_toml(Path(__file__).with_name("meanings.toml")))


def meaning(check: str) -> str:
    """One check's meaning in English; empty for one that is not known, such as an older version's."""
    return read_meanings().get(check, {}).get("en", "")
