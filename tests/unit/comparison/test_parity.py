"""The pairwise comparison of cells, on documents made by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dlmatrix.comparison.parity import compare
from dlmatrix.errors import ContractError

MODE: dict[str, Any] = {
    "logits": [[1.0, -2.0], [0.5, 4.0]],
    "gradients": {"conv1/bias": {"scale": 2.0, "samples": [1.0, -2.0]}},
    "losses": [2.0, 1.0],
}


def document(*modes: str) -> dict[str, Any]:
    return {"parity": {"reference": copy.deepcopy(MODE), **{mode: copy.deepcopy(MODE) for mode in modes}}}


def three() -> dict[str, dict[str, Any]]:
    return {"cpu-torch": document("eager"), "cpu-tf2": document("graph", "eager"), "cpu-tf1": document("graph")}


def test_equal_cells_pass() -> None:
    found = compare(three())
    assert found.passed
    assert found.cells == ("reference", "cpu-torch (eager)", "cpu-tf2 (graph)", "cpu-tf2 (eager)", "cpu-tf1 (graph)")
    assert len(found.pairs) == 10
    assert found.drifting == ()
    assert {size for size, _, _ in found.largest.values()} == {0.0}


@pytest.mark.parametrize(
    ("change", "measure", "size"),
    [
        (lambda mode: mode["logits"][0].__setitem__(0, 1.001), "logits", 0.001 / 4),
        (lambda mode: mode["gradients"]["conv1/bias"]["samples"].__setitem__(0, 1.01), "gradients", 0.005),
        (lambda mode: mode["gradients"]["conv1/bias"].__setitem__("scale", 2.1), "gradients", 0.1 / 2.1),
        (lambda mode: mode["losses"].__setitem__(1, 1.1), "losses", 0.1 / 1.1),
        (lambda mode: mode["losses"].__setitem__(1, "nan"), "losses", float("inf")),
        (lambda mode: mode["logits"][0].__setitem__(0, "inf"), "logits", float("inf")),
    ],
)
def test_the_cell_that_drifts_is_named(change: Any, measure: str, size: float) -> None:
    documents = three()
    change(documents["cpu-tf1"]["parity"]["graph"])
    found = compare(documents)
    assert not found.passed
    assert found.drifting == ("cpu-tf1 (graph)",)
    assert found.largest[measure][0] == pytest.approx(size)
    assert "cpu-tf1 (graph)" in found.largest[measure]
    assert {pair.over for pair in found.pairs if pair.over} == {(measure,)}


def test_two_that_drift_alike_are_both_named() -> None:
    documents = three()
    for mode in ("graph", "eager"):
        documents["cpu-tf2"]["parity"][mode]["losses"][0] = 3.0
    assert set(compare(documents).drifting) == {"cpu-tf2 (graph)", "cpu-tf2 (eager)"}


def test_within_the_tolerance_passes_and_is_reported() -> None:
    documents = three()
    documents["cpu-tf1"]["parity"]["graph"]["losses"][0] = 2.001
    found = compare(documents)
    assert found.passed
    assert found.largest["losses"][0] == pytest.approx(0.001 / 2.001)


def test_tf32_has_its_own_tolerance() -> None:
    documents = {"gpu-torch": document("eager", "eager, TF32")}
    documents["gpu-torch"]["parity"]["eager, TF32"]["logits"][0][0] = 1.01
    assert compare(documents).passed
    documents["gpu-torch"]["parity"]["eager, TF32"]["logits"][0][0] = 1.2
    assert compare(documents).drifting == ("gpu-torch (eager, TF32)",)


def test_nothing_to_compare_is_no_pass() -> None:
    assert not compare({}).passed
    assert not compare({"cpu-torch": {"parity": None}}).passed


def test_another_problem_is_refused() -> None:
    documents = three()
    documents["cpu-tf1"]["parity"]["reference"]["losses"][0] = 2.5
    with pytest.raises(ContractError, match="cpu-tf1 and cpu-torch were given different"):
        compare(documents)


def test_other_shapes_are_refused() -> None:
    documents = three()
    documents["cpu-tf1"]["parity"]["graph"]["losses"].append(1.0)
    with pytest.raises(ContractError, match="different numbers"):
        compare(documents)
    documents = three()
    documents["cpu-tf1"]["parity"]["graph"]["gradients"] = {}
    with pytest.raises(ContractError, match="different weights"):
        compare(documents)
