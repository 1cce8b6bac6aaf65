"""What a machine's result.json tells in short: what the table of a fleet has room for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlmatrix.document import rates
from dlmatrix.document.fitness import fitness, on_cpu


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The machine and its envs, from a result.json that was read.

    ``trains`` is whether the network learned on the device that the env is for, None where that was not tried.
    """
    host = result["host"]
    gpus = [str(gpu.get("name") or "GPU") for gpu in host.get("gpus") or ()]
    return {
        "host": host.get("name"),
        "board": host.get("board"),
        "cpu": host.get("cpu"),
        "cpus": host.get("cpus"),
        "kernel": host.get("kernel"),
        "driver": host.get("driver"),
        "gpus": gpus,
        "engine": result["engine"]["engine"],
        "envs": [_env(env) for env in result["envs"]],
    }


def kind(found: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes machines siblings: processor, cores, names and number of the GPUs."""
    return (found.get("cpu"), found.get("cpus"), tuple(sorted(found.get("gpus") or ())))


def _env(env: Mapping[str, Any]) -> dict[str, Any]:
    document = env["document"] or {}
    word, because = fitness(env)
    return {
        "name": env["name"],
        "outcome": env["outcome"],
        "fitness": word,
        "because": because,
        "trains": _trains(env["name"], document),
        "device": "cpu" if not str(env["name"]).startswith("gpu-") or on_cpu(env["name"], document) else "cuda",
        "train": _rate(document, "train"),
        "infer": _rate(document, "infer"),
        "marks": rates.marks(document),
    }


def _trains(name: str, document: Mapping[str, Any]) -> bool | None:
    outcomes = {check["outcome"] for check in document.get("checks", ()) if check["id"] == "training"}
    if outcomes <= {"skipped"} or (name.startswith("gpu-") and on_cpu(name, document)):
        return None if outcomes <= {"skipped"} else False
    return outcomes == {"passed"}


def _rate(document: Mapping[str, Any], which: str) -> float | None:
    """Images per second of the row that stands for the env."""
    found = rates.headline(document, which)
    return rates.median(found[1]) if found else None
