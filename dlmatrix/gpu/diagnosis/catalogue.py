"""causes.toml as frozen values; a row that is not understood is an error of the project, found at load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dlmatrix.gpu.diagnosis.remedies import remedies
from dlmatrix.system.toml import read_toml

#: From the deepest to the highest; the first broken one is the answer.
LAYERS = (
    "hardware",
    "kernel module",
    "device nodes",
    "driver library",
    "container start",
    "container",
    "libcuda",
    "cuInit",
    "visibility",
    "device state",
    "framework",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One root cause as the catalogue knows it; see the head of causes.toml."""

    row: int
    label: str
    layer: str
    title: str
    looks_at: str
    remedy: str
    source: str
    severity: str = "blocks"
    last_resort: bool = False
    other_env: bool = False
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    launch: re.Pattern[str] | None = None
    says: re.Pattern[str] | None = None
    predicate: str = ""
    explained_by: tuple[str, ...] = ()
    apart: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Blind:
    """Something that could not be looked at, and what it would have told."""

    what: str
    predicate: str
    tells: str
    deepest: bool = False


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A generation of GPUs that a driver branch or a module flavour excludes."""

    name: str
    ids: tuple[tuple[int, int], ...]
    last_branch: int | None = None
    flavour: str = ""
    #: the least compute capability of the generation, where a wheel that lacks it can run on none of its GPUs
    capability: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Everything in causes.toml."""

    rows: tuple[Row, ...]
    blinds: tuple[Blind, ...]
    architectures: tuple[Architecture, ...]


@cache
def catalogue() -> Catalogue:
    """The catalogue that ships with the package."""
    data = read_toml(Path(__file__).with_name("causes.toml"))
    return Catalogue(
        rows=tuple(_row(entry) for entry in data["cause"]),
        blinds=tuple(Blind(**entry) for entry in data["blind"]),
        architectures=tuple(
            Architecture(**{**entry, "ids": tuple(map(tuple, entry["ids"])), "capability": _pair(entry)})
            for entry in data["architecture"]
        ),
    )


def _pair(entry: dict[str, Any]) -> tuple[int, int] | None:
    pair = entry.get("capability")
    return (pair[0], pair[1]) if pair else None


def _row(entry: dict[str, Any]) -> Row:
    entry = dict(entry)
    for key in ("launch", "says"):
        if key in entry:
            entry[key] = re.compile(entry[key], re.S)
    entry["when"] = tuple((path, tuple(values)) for path, values in entry.get("when", {}).items())
    entry["explained_by"] = tuple(entry.get("explained_by", ()))
    entry["apart"] = tuple(entry.get("apart", {}).items())
    entry["remedy"] = remedies()[entry["label"]].text
    return Row(**entry)
