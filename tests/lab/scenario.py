"""Play a scenario: build its places, let the real detection look at them, diagnose."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlmatrix.gpu.diagnosis import Diagnosis, Launch, diagnose
from dlmatrix.gpu.surroundings import system_of
from smoke.detect import collect
from tests.lab.machine import build, host_of, inside_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "scenarios"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
#: Seconds for a witness. Only scenarios that hang wait for it, and those set a small one of their own.
LIMIT = 60.0
_KNOWN = {
    "row",
    "causes",
    "warnings",
    "remedy",  # words that the first remedy has; with a "-" before them, words that it must not have
    "verdict",
    "possible",
    "timeout",
    "host_seen",
    "measured",
    "host",
    "launch",
    "inside",
}


def load(name: str) -> dict[str, Any]:
    """The scenario's table; a key that nothing reads is an error."""
    scenario = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    unknown = set(scenario) - _KNOWN
    if unknown:
        raise KeyError(f"{name}: {sorted(unknown)}")
    return scenario


def facts_of(spec: Mapping[str, Any], folder: Path, stubs: Path, limit: float) -> dict[str, Any]:
    """What the real detection says of a place."""
    place = build(spec, folder, stubs)
    with place.entered():
        facts: dict[str, Any] = collect(str(place.root), place.framework, timeout=limit, framework_timeout=limit)
    return facts | {"system": system_of(place.root)}


def play(scenario: Mapping[str, Any], folder: Path, stubs: Path) -> tuple[Diagnosis, dict[str, Any]]:
    """The diagnosis, and the documents it was made from: "host" and "inside"."""
    limit = scenario.get("timeout", LIMIT)
    documents: dict[str, Any] = {"host": None, "inside": None}
    if scenario.get("host_seen", True):
        documents["host"] = facts_of(host_of(scenario), folder / "host", stubs, limit)
    if "inside" in scenario:
        documents["inside"] = facts_of(inside_of(scenario), folder / "inside", stubs, limit)
    started = Launch() if "inside" in scenario and documents["host"] else None
    launch = Launch(**scenario["launch"]) if "launch" in scenario else started
    return diagnose(documents["host"], launch, documents["inside"]), documents
