"""Compare what the frameworks of a run computed, pairwise: documents in, a matrix out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from dlmatrix.errors import ContractError

#: The entry of a document that holds the float64 answers every cell was given.
REFERENCE = "reference"
#: Largest relative difference of two cells, and of one from the reference (smoke/checks/parity.py holds the same).
TOLERANCE: Mapping[str, float] = {"logits": 1e-5, "gradients": 1e-4, "losses": 1e-3}
#: The same where TF32 (10 bits of mantissa) multiplied in either of the two.
TOLERANCE_TF32: Mapping[str, float] = {"logits": 3e-3, "gradients": 5e-2, "losses": 2e-2}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two cells and their largest relative differences; ``over`` names the measures beyond the tolerance."""

    one: str
    two: str
    differences: Mapping[str, float]
    over: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ParityMatrix:
    """All pairs of a run's cells, the largest difference of each measure, and the cells that drift."""

    cells: tuple[str, ...]
    pairs: tuple[Pair, ...]
    largest: Mapping[str, tuple[float, str, str]]
    drifting: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether there was something to compare and every pair is within the tolerances."""
        return bool(self.pairs) and not any(pair.over for pair in self.pairs)


def describe(matrix: ParityMatrix) -> str:
    """One line: the largest difference of each measure and between whom, or the cells that drift."""
    if not matrix.pairs:
        return "nothing to compare"
    sizes = "; ".join(f"{name} {size:.1e} ({one}, {two})" for name, (size, one, two) in matrix.largest.items())
    verdict = "within the tolerances" if matrix.passed else f"drifts: {', '.join(matrix.drifting)}"
    return f"{len(matrix.cells)} cells, {verdict}; largest relative differences: {sizes}"


def compare(documents: Mapping[str, Mapping[str, Any]]) -> ParityMatrix:
    """The parity matrix of {env: document of ``python -m smoke``}.

    A cell is an env and a mode (``cpu-tf2-2.21 (graph)``); the float64 reference takes part as one.
    Documents without parity data are left out. Raises ContractError where two documents were computed
    from different problems, which cannot be compared.
    """
    found = dict(_cells(documents))
    pairs = tuple(_pair(one, found[one], two, found[two]) for one, two in combinations(found, 2))
    largest = {}
    for measure in TOLERANCE:
        ordered = sorted(pairs, key=lambda pair, measure=measure: _order(pair.differences[measure]))  # type: ignore[misc]
        if ordered:
            largest[measure] = (ordered[-1].differences[measure], ordered[-1].one, ordered[-1].two)
    return ParityMatrix(cells=tuple(found), pairs=pairs, largest=largest, drifting=_drifting(pairs))


def _cells(documents: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reference: tuple[str, Mapping[str, Any]] | None = None
    for env, document in documents.items():
        modes = document.get("parity") or {}
        own = modes.get(REFERENCE)
        if own is not None and reference is None:
            reference = env, own
            yield REFERENCE, own
        elif own is not None and reference is not None and own["losses"] != reference[1]["losses"]:
            raise ContractError(
                f"parity: {env} and {reference[0]} were given different weights or data",
                "run both with the smoke/ of one checkout",
            )
        yield from ((f"{env} ({mode})", values) for mode, values in modes.items() if mode != REFERENCE)


def _pair(one: str, a: Mapping[str, Any], two: str, b: Mapping[str, Any]) -> Pair:
    differences = {
        "logits": _difference(_flat(a["logits"]), _flat(b["logits"])),
        "gradients": max(_gradients(a["gradients"], b["gradients"]), default=0.0),
        "losses": max((_relative(x, y) for x, y in _zip(a["losses"], b["losses"])), default=0.0),
    }
    tolerance = TOLERANCE_TF32 if "TF32" in one or "TF32" in two else TOLERANCE
    over = tuple(name for name, size in differences.items() if not size <= tolerance[name])
    return Pair(one=one, two=two, differences=differences, over=over)


def _drifting(pairs: tuple[Pair, ...]) -> tuple[str, ...]:
    """The cells to blame for the pairs that differ: again and again the one in most of those that are left."""
    left = [pair for pair in pairs if pair.over]
    blamed = []
    while left:
        counts: dict[str, int] = {}
        for pair in left:
            for name in (pair.one, pair.two):
                # The reference is right by definition.
                if name != REFERENCE:
                    counts[name] = counts.get(name, 0) + 1
        worst = max(counts, key=lambda name: counts[name])
        blamed.append(worst)
        left = [pair for pair in left if worst not in (pair.one, pair.two)]
    return tuple(blamed)


def _gradients(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[float]:
    if set(a) != set(b):
        raise ContractError("parity: two cells name different weights", "run both with the smoke/ of one checkout")
    for name in a:
        scale = max(_number(a[name]["scale"]), _number(b[name]["scale"]))
        samples = [abs(_number(x) - _number(y)) for x, y in _zip(a[name]["samples"], b[name]["samples"])]
        samples.append(abs(_number(a[name]["scale"]) - _number(b[name]["scale"])))
        yield max((_order(size / scale if scale else size) for size in samples), default=0.0)


def _difference(a: list[float], b: list[float]) -> float:
    scale = max((abs(value) for value in (*a, *b)), default=0.0) or 1.0
    return max((_order(abs(x - y) / scale) for x, y in _zip(a, b)), default=0.0)


def _relative(a: object, b: object) -> float:
    x, y = _number(a), _number(b)
    return _order(abs(x - y) / (max(abs(x), abs(y)) or 1.0))


def _flat(rows: list[list[Any]]) -> list[float]:
    return [_number(value) for row in rows for value in row]


def _zip(a: list[Any], b: list[Any]) -> Iterator[tuple[Any, Any]]:
    if len(a) != len(b):
        raise ContractError("parity: two cells hold different numbers of values", "run both with one checkout")
    return zip(a, b, strict=True)


def _number(value: object) -> float:
    """A number of the document; a string there is nan or inf."""
    return float(value)  # type: ignore[arg-type]


def _order(size: float) -> float:
    """NaN compares with nothing: it counts as infinitely far."""
    return size if size == size else float("inf")  # noqa: PLR0124
