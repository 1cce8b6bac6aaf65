"""states.toml as frozen values: how a machine of a fleet can stand, why, and what is to be done about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dlmatrix.system.toml import read_toml

WAITING, RUNNING = "waiting", "running"
#: The step of a machine between its two tries.
AGAIN = "again"
#: Characters of what was said of a machine that are kept.
SAID = 400


@dataclass(frozen=True, kw_only=True)
class State:
    """How a machine can stand; see the head of states.toml."""

    name: str
    words: str
    code: int
    next: str
    final: bool = False
    second: bool = False
    moving: bool = False


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why a machine stands as it does; ``second`` and ``code`` are the state's where it has none of its own."""

    id: str
    state: str
    words: str
    code: int
    second: bool
    next: str
    said: re.Pattern[str] | None = None


@cache
def states() -> Mapping[str, State]:
    """All states, by their names, in the order in which they are told."""
    return {name: State(name=name, **entry) for name, entry in _data()["state"].items()}


@cache
def causes() -> Mapping[str, Cause]:
    """All causes, by their ids, in the order in which they are looked for."""
    return {entry["id"]: _cause(entry) for entry in _data()["cause"]}


def cause_of(said: str, *kinds: str) -> Cause | None:
    """The first cause that what was said of a machine tells of; ``kinds`` are the states that come into question."""
    fitting = (cause for cause in causes().values() if not kinds or cause.state in kinds)
    return next((cause for cause in fitting if cause.said and cause.said.search(said)), None)


def cause_of_code(code: int) -> Cause | None:
    """What befell a run and tells nothing of the machine's fitness, by the exit code of dlmatrix there."""
    return next((cause for cause in causes().values() if cause.state == "unfit" and cause.code == code != 19), None)


@cache
def _data() -> dict[str, Any]:
    return read_toml(Path(__file__).with_name("states.toml"))


def _cause(entry: dict[str, Any]) -> Cause:
    state = states()[entry["state"]]
    said = entry.get("said")
    usual = {"code": state.code, "second": state.second}
    return Cause(**{**usual, **entry, "said": re.compile(said, re.IGNORECASE) if said else None})
