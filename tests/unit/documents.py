"""The one place that knows what the parts of a document and of result.json look like; tests say only what matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def check(name: str, outcome: str = "passed", kind: str = "verify", reason: str = "", **more: Any) -> Json:
    """A check's entry."""
    plain = {"expected": None, "found": None, "data": {}, "seconds": 0.25}
    return {"id": name, "kind": kind, "asserts": f"{name} holds", "outcome": outcome, "reason": reason} | plain | more


def row(name: str, **more: Any) -> Json:
    """A row of throughput by its id (model/kind/mode/batch/precision/feed), measured with a budget that ended."""
    model, kind, mode, batch, precision, feed = name.split("/")
    return {
        "id": name,
        "model": model,
        "kind": kind,
        "mode": mode,
        "batch": int(batch),
        "precision": precision,
        "feed": feed,
        "device": "cpu",
        "outcome": "measured",
        "reason": "",
        "images_per_second": None,
        "samples": [],
        "fastest": [],
        "stopped": "narrow",
        "first_step_seconds": 0.05,
        "peak_host_bytes": 500_000_000,
        "peak_device_bytes": None,
        "flops_per_image": 15_400_000,
        "roof_share": None,
        "best": False,
    } | more


def throughput(rows: Sequence[Json] = (), *, roof: Sequence[Json] = (), **machine: Any) -> Json:
    """Throughput of five processes on two processors; ``machine`` is what differs of the machine."""
    return {
        "budget_seconds": 60.0,
        "processes": 5,
        "threads": 2,
        "settings": {"padding": "valid", "tf32": False, "flush_denormals": False},
        "machine": {
            "cpu": "Some CPU @ 2.0 GHz",
            "cpus": 2.0,
            "governor": None,
            "load_start": 0.4,
            "load_end": 2.1,
            "others": 0.05,
            "gpus": [],
            "marks": [],
        }
        | machine,
        "roof": list(roof),
        "rows": list(rows),
    }


def document(*checks: Json, **more: Any) -> Json:
    """What came out of an env: these checks, and nothing trained, measured or detected but what is said."""
    return {
        "schema_version": 2,
        "framework": "torch",
        "expect": {},
        "python": "3.11.2",
        "threads": 2,
        "versions": {"torch": "2.13.0+cpu", "numpy": "2.4.6"},
        "checks": list(checks),
        "training": None,
        "throughput": None,
        "parity": None,
        "detection": None,
        "log": {"lines": 0, "tail": []},
        "seconds": 1.0,
    } | more


def env(name: str, outcome: str = "passed", reason: str = "", **more: Any) -> Json:
    """One env of result.json, of which nothing is known but how it ended."""
    return {
        "name": name,
        "outcome": outcome,
        "exit_code": 0,
        "reason": reason,
        "next_step": "",
        "status": "supported",
        "built": None,
        "facts": {},
        "layers": [],
        "seconds": {},
        "document": None,
    } | more


def result(*envs: Json, **more: Any) -> Json:
    """A whole result.json."""
    return {
        "schema_version": 1,
        "dlmatrix": "0.1.0",
        "started": "2026-11-24T08:00:00+00:00",
        "finished": "2026-11-24T08:04:12+00:00",
        "engine": {"engine": "docker", "version": "28.5.2"},
        "host": {"kernel": "6.18.44", "machine": "x86_64", "cpus": 2},
        "envs": list(envs),
    } | more
