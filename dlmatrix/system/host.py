"""Which machine this is: its name and parts, as reports tell them. No serial numbers.

/etc/machine-id is confidential (machine-id(5)): what is told is a keyed hash of it, which is the same for every report
of a machine and leads nobody back.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.system.files import told_by

#: What the hash of the machine's id is keyed for: other programs' hashes of it are others.
_PURPOSE = b"dlmatrix report"
_BOARD = ("sys_vendor", "product_name", "board_name")
#: What vendors leave in a field that they do not fill in.
_UNSAID = re.compile(r"|to be filled by o\.e\.m\.?|default string|not specified|none|system product name", re.I)


def describe(root: Path = Path("/"), gpus: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """This machine; None, and no GPU, for what it does not tell.

    ``gpus`` are those that NVML told of, where somebody asked it: name, uuid and memory in bytes; else they are those
    that the driver's own files tell of, which know of no memory. ``root`` stands for / in tests.
    """

    def read(place: str) -> str:
        return told_by(root / place).strip()

    ident = read("etc/machine-id")
    memory = re.search(r"^MemTotal:\s*(\d+) kB", read("proc/meminfo"), re.MULTILINE)
    driver = re.search(r"\b\d{3}\.\d+(?:\.\d+)*\b", read("proc/driver/nvidia/version"))
    found = [_gpu(gpu) for gpu in gpus] or [_gpu(gpu) for gpu in _driver_s_gpus(root)]
    return {
        "name": platform.node() or None,
        "id": hmac.new(ident.encode(), _PURPOSE, hashlib.sha256).hexdigest()[:32] if ident else None,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "board": " ".join(dict.fromkeys(filter(_said, (read(f"sys/class/dmi/id/{name}") for name in _BOARD)))) or None,
        "cpu": _processor(read("proc/cpuinfo")),
        "cpus": os.cpu_count(),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "driver": driver[0] if driver else read("sys/module/nvidia/version") or None,
        "gpus": found,
    }


def _said(text: str) -> bool:
    return not _UNSAID.fullmatch(text)


def _processor(text: str) -> str | None:
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _driver_s_gpus(root: Path) -> list[dict[str, Any]]:
    gpus = []
    for folder in sorted((root / "proc/driver/nvidia/gpus").glob("*")):
        lines = told_by(folder / "information").splitlines()
        found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        uuid = found.get("GPU UUID")
        # Until something has used the GPU the driver writes question marks.
        gpus.append({"name": found.get("Model"), "uuid": None if uuid and "?" in uuid else uuid})
    return gpus


def _gpu(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": found.get("name"), "uuid": found.get("uuid"), "memory_bytes": found.get("memory_bytes")}
