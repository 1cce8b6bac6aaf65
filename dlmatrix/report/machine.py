"""The machine of a run in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any


def parts(host: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What result.json tells of a machine, part by part: (key, words); what is not known is left out."""
    if name := host.get("name"):
        yield "name", str(name)
    if board := host.get("board"):
        yield "board", str(board)
    if host.get("cpu") or host.get("cpus"):
        yield "cpu", " \N{MULTIPLICATION SIGN} ".join(str(host[key]) for key in ("cpus", "cpu") if host.get(key))
    if memory := host.get("memory_bytes"):
        yield "memory", _gigabytes(memory)
    if kernel := host.get("kernel"):
        yield "kernel", f"Linux {kernel}"
    gpus = Counter((gpu.get("name") or "GPU", gpu.get("memory_bytes")) for gpu in host.get("gpus") or ())
    for (name, memory), number in gpus.items():
        several = f"{number} \N{MULTIPLICATION SIGN} " if number > 1 else ""
        yield "gpu", f"{several}{name}" + (f", {_gigabytes(memory)}" if memory else "")
    if driver := host.get("driver"):
        yield "driver", str(driver)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.0f} GB"
