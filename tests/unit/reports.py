"""Reports made of numbers: what result.json holds of a run, as far as comparing reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tests.unit import documents
from tests.unit.documents import result

__all__ = ["result"]

TRAIN = "cnn/train/eager/128/fp32/device"
INFER = "cnn/infer/eager/128/fp32/device"
COMPILED = "cnn/train/compiled/128/fp32/device"

Data = dict[str, Any]


def seeded(seed: object) -> Random:
    """The same figures in every run, for each seed."""
    return Random(str(seed))  # noqa: S311 - figures, not secrets


def row(name: str, samples: Sequence[Sequence[float]], *, best: bool = True, device: str = "cpu", **other: Any) -> Data:
    """A measured row; one without samples is a skipped one."""
    if not samples:
        reason = "torch.compile needs a C++ compiler, which this image has not"
        more: Data = {"outcome": "skipped", "reason": reason, "first_step_seconds": None, "peak_host_bytes": None}
        return documents.row(name, **more | {"stopped": "", "device": device} | other)
    middle = sorted(value for windows in samples for value in windows)
    more = {
        "images_per_second": {"median": middle[len(middle) // 2], "iqr": 1.0, "low": middle[0], "high": middle[-1]},
        "samples": [list(windows) for windows in samples],
        "fastest": [max(windows) for windows in samples],
    }
    return documents.row(name, **more | {"best": best, "device": device} | other)


def processes(
    middle: float, random: Random, *, count: int = 5, spread: float = 0.01, windows: float = 0.0
) -> list[list[float]]:
    """Windows of fresh processes: processes differ by ``spread``, windows of one by ``windows`` (relative)."""
    found = []
    for _ in range(count):
        own = middle * (1 + random.gauss(0, spread))
        found.append([own * (1 + random.gauss(0, windows)) for _ in range(3)])
    return found


def env(name: str = "cpu-torch-2.13", rows: Sequence[Data] = (), **other: Any) -> Data:
    """One env of a report."""
    known = {
        "built": True,
        "facts": {"base": "python:3.11", "base kind": "official", "unpacked_bytes": 275_000_000, "key": "a310"},
        "seconds": {"prepare": 50.0, "start": 0.2, "run": 30.0},
        "document": documents.document(throughput=documents.throughput(rows)),
    }
    return documents.env(name, reason="38 passed") | known | other


def write(folder: Path, data: Mapping[str, Any] | str) -> Path:
    """A report folder that holds this result.json."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return folder


#: Changes a result in one place.
Change = Callable[[Data], None]


def throughput(data: Data) -> Data:
    """The throughput of a result's first env."""
    return dict_of(data["envs"][0]["document"]["throughput"])


def dict_of(value: Any) -> Data:
    """The same object; what JSON holds has no narrower type."""
    assert isinstance(value, dict)
    return value
