"""Installed distributions, read from their metadata folders (Python 3.7 has no importlib.metadata)."""

from __future__ import annotations

import os
import platform
import re
import sys
from typing import Any, Iterable, Iterator


def normalised(name: str) -> str:
    """PEP 503's form of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def folders(path: Iterable[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """(normalised name, version, metadata folder) of every ``*.dist-info`` on sys.path, in its order."""
    seen = set()
    for folder in sys.path if path is None else path:
        real = os.path.realpath(folder or ".")
        if real in seen or not os.path.isdir(real):
            continue
        seen.add(real)
        for entry in sorted(os.listdir(real)):
            stem, extension = os.path.splitext(entry)
            name, dash, version = stem.partition("-")
            if extension == ".dist-info" and dash:
                yield normalised(name), version, os.path.join(real, entry)


#: NVIDIA's wheels that compute with CUDA, by name: cuBLAS to cuTENSOR, NCCL, NPP, nvJPEG to nvVM, and whatever names
#: its CUDA. What only observes or calls a service is not among them: nvidia-ml-py, nvidia-smi, nvidia-nvml-dev, ….
_CUDA = re.compile(r"nvidia-(?!nvml)(cu|nccl|npp|nv|.+-cu(da)?\d)")


def cuda(names: Iterable[str]) -> list[str]:
    """Those of the distributions' names that are CUDA libraries, in order."""
    return sorted(name for name in names if _CUDA.match(name))


def installed(path: Iterable[str] | None = None) -> dict[str, str]:
    """{normalised name: version}, the first of a name winning, as for import."""
    found: dict[str, str] = {}
    for name, version, _ in folders(path):
        found.setdefault(name, version)
    return found


def requirements(name: str, path: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """The Requires-Dist lines of a distribution that apply to this machine and to no extra, as (name, rest) pairs.

    A marker of a form that is not understood counts as not applying: this is no resolver.
    """
    places = [folder for found, _, folder in folders(path) if found == normalised(name)]
    if not places:
        return []
    try:
        with open(os.path.join(places[0], "METADATA"), encoding="utf-8", errors="replace") as stream:
            header = stream.read().partition("\n\n")[0]
    except OSError:
        return []
    lines = re.findall(r"^Requires-Dist: *([A-Za-z0-9._-]+)([^;\n]*)(?:;(.*))?$", header, re.M)
    return [(normalised(who), rest.strip(" ()")) for who, rest, marker in lines if applies(marker)]


def applies(marker: str) -> bool:
    """Whether an environment marker of comparisons joined by ``and`` holds here."""
    values: dict[str, Any] = {
        "platform_system": platform.system(),
        "sys_platform": sys.platform,
        "platform_machine": platform.machine(),
        "python_version": "{}.{}".format(*sys.version_info[:2]),
    }
    for part in marker.strip().split(" and ") if marker.strip() else []:
        match = re.match(r"""^\(?\s*(\w+)\s*(==|!=|<|<=|>|>=)\s*["']([^"']*)["']\s*\)?$""", part.strip())
        if not match or match.group(1) not in values:
            return False
        left, operator, right = values[match.group(1)], match.group(2), match.group(3)
        if match.group(1) == "python_version":
            left, right = release(left), release(right)
        elif operator not in ("==", "!="):
            return False
        if not compare(left, operator, right):
            return False
    return True


def release(version: str) -> tuple[int, ...]:
    """A version's leading numbers, for an order of its own."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:4])


def compare(left: Any, operator: str, right: Any) -> bool:
    """left <operator> right."""
    return {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]
