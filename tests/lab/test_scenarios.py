"""Every scenario gets exactly its causes, the deepest first; the healthy ones get none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.report.page.texts import in_chinese
from tests.lab.scenario import NAMES, load, play


@pytest.mark.parametrize("name", NAMES)
def test_scenario_gets_its_causes(name: str, stubs: Path, tmp_path: Path) -> None:
    scenario = load(name)
    diagnosis, documents = play(scenario, tmp_path, stubs)
    shown = f"{diagnosis.causes}\n{json.dumps(documents)}"
    assert [cause.label for cause in diagnosis.causes] == scenario["causes"], shown
    assert [cause.label for cause in diagnosis.warnings] == scenario.get("warnings", []), shown
    first = (scenario["causes"] or [""])[0]
    blocked = "no-gpu" if first == "NO_GPU" else "unusable" if first else "usable"
    assert diagnosis.verdict == scenario.get("verdict", blocked), shown
    assert any(cause.possible for cause in diagnosis.causes) == scenario.get("possible", False), shown
    places = [scenario.get(place, {}) for place in ("host", "inside")]
    dies = any("crash" in (*place.get("framework", {}), *place.get("returns", {}).values()) for place in places)
    ill = {cause.label for cause in diagnosis.causes if cause.label.endswith(("_HANG", "_CRASH", "GSP_TIMEOUT"))}
    lost = [spot for spot in diagnosis.blind if spot.what == "a witness that did not finish"]
    assert bool(lost) == bool(ill or dies), shown
    if name.startswith("healthy-"):
        here = [layer for layer in diagnosis.layers if layer.place == diagnosis.layers[-1].place]
        assert "broken" not in {layer.state for layer in here}, here
    assert all(cause.evidence and all(cause.evidence) for cause in diagnosis.causes), shown
    assert all(in_chinese(cause.remedy) for cause in (*diagnosis.causes, *diagnosis.warnings)), shown
    for words in scenario.get("remedy", []):
        first = (*diagnosis.causes, *diagnosis.warnings)[0].remedy
        assert (words.removeprefix("-") in first) is not words.startswith("-"), first


def test_every_row_of_the_catalogue_is_staged() -> None:
    staged = {load(name).get("row") for name in NAMES}
    assert {row.row for row in catalogue().rows} - staged == set()


def test_the_lab_is_as_large_as_it_claims() -> None:
    assert sum(name.startswith("healthy-") for name in NAMES) >= 25
    assert sum(name.startswith("compound-") for name in NAMES) >= 15
