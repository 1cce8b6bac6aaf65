"""The rate that stands for an env where there is room for one.

On a CPU that is the small CNN at batch 128. On a GPU, which the small CNN keeps busy with little but launches, it is
the best row of ResNet-18, with its share of what the card reaches at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BATCH = 128
#: What a GPU is measured by.
LARGE = "resnet18"
_KINDS = {"train": "training", "infer": "inference"}


def rows_of(document: Mapping[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """Every row of a document's throughput, with the place it has in the document.

    Reports of schema version 1 had a bare list of rows, whose mode was what is now their kind.
    """
    found = (document or {}).get("throughput") or []
    if isinstance(found, list):
        return [(f"/throughput/{n}", _renamed(row)) for n, row in enumerate(found)]
    return [(f"/throughput/rows/{n}", dict(row)) for n, row in enumerate(found.get("rows") or [])]


def headline(document: Mapping[str, Any] | None, kind: str) -> tuple[str, dict[str, Any]] | None:
    """The fastest measured row of a kind (train, infer), and its place: of those that stand for the device.

    Where none of them was measured, the fastest of what was.
    """
    measured = [(at, row) for at, row in rows_of(document) if row["kind"] == kind and median(row) is not None]
    usual = [(at, row) for at, row in measured if _stands(row)]
    return max(usual or measured, key=lambda found: median(found[1]) or 0.0, default=None)


def leads(document: Mapping[str, Any] | None) -> Iterator[str]:
    """What was reached on a GPU: a line for the best row of each kind; nothing on a CPU."""
    for kind, name in _KINDS.items():
        found = headline(document, kind)
        if found and found[1]["device"] == "cuda":
            row = found[1]
            what = f"{row['model']} {label(row)}, batch {row['batch']}"
            yield f"best {name}: {what}: {median(row):,.0f} images/s" + share(row)


def share(row: Mapping[str, Any]) -> str:
    """``, 19 % of roof``: what the row reaches of the matrix product in its own precision, where that is known."""
    part = row.get("roof_share")
    return f", {100 * part:.3g} % of roof" if row["device"] == "cuda" and isinstance(part, (int, float)) else ""


def label(row: Mapping[str, Any]) -> str:
    """What sets a row apart beside model, kind and batch: ``channels_last amp host-fed``."""
    parts = [row["mode"], row["precision"] if row["precision"] != "fp32" else ""]
    return " ".join(filter(None, [*parts, "host-fed" if row["feed"] == "host" else ""])) or "eager"


def _stands(row: Mapping[str, Any]) -> bool:
    if row["device"] == "cuda":
        return bool((row["model"], row["feed"]) == (LARGE, "device"))
    return bool((row["model"], row["batch"], row["precision"], row["feed"]) == ("cnn", BATCH, "fp32", "device"))


def marks(document: Mapping[str, Any] | None) -> list[str]:
    """Why a document's throughput is not to be relied on: the machine was busy, or throttled."""
    throughput = (document or {}).get("throughput")
    machine = throughput.get("machine") if isinstance(throughput, Mapping) else None
    return list((machine or {}).get("marks") or [])


def alone(document: Mapping[str, Any] | None) -> bool:
    """Whether every row was measured in one process, so that no figure has an interval."""
    samples = [row.get("samples") for _, row in rows_of(document) if median(row) is not None]
    return bool(samples) and all(isinstance(one, list) and len(one) == 1 for one in samples)


def median(row: Mapping[str, Any]) -> float | None:
    """A row's images per second, or None where it was not measured."""
    value = row.get("images_per_second")
    value = value.get("median") if isinstance(value, dict) else value
    return float(value) if isinstance(value, (int, float)) else None


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {"model": "cnn", "batch": BATCH, "precision": "fp32", "feed": "device", "device": "cpu"}
    return {**plain, "outcome": "measured", **row, "kind": row.get("mode", ""), "mode": ""}
