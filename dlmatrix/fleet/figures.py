"""What a machine's result.json tells in short: what the table of a fleet has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dlmatrix.document import rates
from dlmatrix.document.fitness import on_cpu

_TIMES = " \N{MULTIPLICATION SIGN} "


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The machine and its envs, from a result.json that was read.

    ``trains`` is whether the network learned on the device that the env is for, None where that was not tried.
    """
    host = result["host"]
    gpus = [str(gpu.get("name") or "GPU") for gpu in host.get("gpus") or ()]
    return {
        **{key: host.get(key) for key in ("cpu", "cpus", "driver")},
        "gpus": sorted(gpus),
        "envs": [_env(env) for env in result["envs"]],
    }


def processor(found: Mapping[str, Any]) -> str:
    """Cores and name, as in ``64 x EPYC 7742``; empty where it is not known."""
    return _TIMES.join(str(found[key]) for key in ("cpus", "cpu") if found.get(key))


def cards(found: Mapping[str, Any]) -> str:
    """The GPUs, counted by name; empty where there are none."""
    names = Counter(found.get("gpus") or ())
    return ", ".join(f"{number}{_TIMES}{name}" if number > 1 else name for name, number in names.items())


def kind(found: Mapping[str, Any]) -> str:
    """What makes machines siblings: processor, cores, names and number of the GPUs."""
    return ", ".join(filter(None, [processor(found), cards(found)]))


def _env(env: Mapping[str, Any]) -> dict[str, Any]:
    document = env["document"] or {}
    return {
        "name": env["name"],
        "trains": _trains(env["name"], document),
        "train": _rate(document, "train"),
        "infer": _rate(document, "infer"),
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
