"""Reports made of numbers: what result.json holds of a run, as far as comparing reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

TRAIN = "cnn/train/eager/128/fp32/device"
INFER = "cnn/infer/eager/128/fp32/device"
COMPILED = "cnn/train/compiled/128/fp32/device"

Data = dict[str, Any]


def seeded(seed: object) -> Random:
    """The same figures in every run, for each seed."""
    return Random(str(seed))  # noqa: S311 - figures, not secrets


def row(name: str, samples: Sequence[Sequence[float]], *, best: bool = True, device: str = "cpu", **other: Any) -> Data:
    """A measured row; one without samples is a skipped one."""
    model, kind, mode, batch, precision, feed = name.split("/")
    middle = sorted(value for windows in samples for value in windows)
    stat = {"median": middle[len(middle) // 2], "iqr": 1.0, "low": middle[0], "high": middle[-1]} if samples else None
    return {
        "id": name,
        "model": model,
        "kind": kind,
        "mode": mode,
        "batch": int(batch),
        "precision": precision,
        "feed": feed,
        "device": device,
        "outcome": "measured" if samples else "skipped",
        "reason": "" if samples else "torch.compile needs a C++ compiler, which this image has not",
        "images_per_second": stat,
        "samples": [list(windows) for windows in samples],
        "fastest": [max(windows) for windows in samples],
        "stopped": "narrow" if samples else "",
        "first_step_seconds": 0.05 if samples else None,
        "peak_host_bytes": 500_000_000 if samples else None,
        "peak_device_bytes": None,
        "flops_per_image": 15_400_000,
        "roof_share": None,
        "best": best and bool(samples),
        **other,
    }


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
    return {
        "name": name,
        "outcome": "passed",
        "exit_code": 0,
        "reason": "38 passed",
        "next_step": "",
        "status": "supported",
        "built": True,
        "facts": {"base": "python:3.11", "base kind": "official", "size": 275_000_000, "key": "a310"},
        "seconds": {"prepare": 50.0, "start": 0.2, "run": 30.0},
        "document": {
            "python": "3.11.2",
            "versions": {"torch": "2.13.0+cpu", "numpy": "2.4.6"},
            "throughput": {
                "budget_seconds": 60.0,
                "processes": 5,
                "threads": 2,
                "settings": {"padding": "valid", "tf32": False},
                "machine": {
                    "cpu": "Some CPU @ 2.0 GHz",
                    "cpus": 2.0,
                    "governor": None,
                    "load_start": 0.1,
                    "load_end": 2.0,
                    "others": 0.0,
                    "gpus": [],
                    "marks": [],
                },
                "roof": [],
                "rows": list(rows),
            },
        },
        **other,
    }


def result(*envs: Data, **other: Any) -> Data:
    """A whole result.json."""
    return {
        "schema_version": 1,
        "dlmatrix": "0.1.0",
        "started": "2026-11-24T10:06:02+00:00",
        "finished": "2026-11-24T10:08:34+00:00",
        "engine": {"engine": "docker", "version": "28.5.2"},
        "host": {"kernel": "6.18.44", "machine": "x86_64", "cpus": 2},
        "envs": list(envs),
        **other,
    }


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
