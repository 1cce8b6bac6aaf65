"""Installed distributions, read from their metadata folders (Python 3.7 has no importlib.metadata)."""

from __future__ import annotations

import os
import re
import sys
from typing import Iterable, Iterator

from smoke import requirement, versions
from smoke.requirement import normalised

_EGG = re.compile(r"(?P<name>[^-]+)(-(?P<version>[^-]+))?(-py\d[\d.]*)?(-.+)?")


def folders(path: Iterable[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """(normalised name, version, metadata) of every ``*.dist-info`` and ``*.egg-info`` on sys.path, in its order.

    The latter is what Debian's packages and old installers leave, a folder or one file, and its name need not say
    the version.
    """
    seen = set()
    for folder in sys.path if path is None else path:
        real = os.path.realpath(folder or ".")
        # What a package carries for itself (setuptools/_vendor) it puts on the path while it runs: nobody installed it.
        if real in seen or os.path.basename(real) == "_vendor" or not os.path.isdir(real):
            continue
        seen.add(real)
        for entry in sorted(os.listdir(real)):
            stem, extension = os.path.splitext(entry)
            name, dash, version = stem.partition("-")
            place = os.path.join(real, entry)
            if extension == ".dist-info" and dash:
                yield normalised(name), version, place
            egg = _EGG.fullmatch(stem) if extension == ".egg-info" else None
            if egg:
                yield normalised(egg.group("name")), egg.group("version") or _told(place, "Version"), place


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


def metadata(folder: str) -> str:
    """The head of a distribution's metadata; "" where there is none."""
    for place in (os.path.join(folder, "METADATA"), os.path.join(folder, "PKG-INFO"), folder):
        try:
            with open(place, encoding="utf-8", errors="replace") as stream:
                return stream.read().partition("\n\n")[0]
        except OSError:
            continue
    return ""


def _told(folder: str, key: str) -> str:
    match = re.search(r"^" + key + ": *(.+)$", metadata(folder), re.M)
    return match.group(1).strip() if match else ""


def requirements(folder: str) -> tuple[list[requirement.Requirement], list[str]]:
    """What a distribution's metadata asks for, and those lines that cannot be read."""
    found, unread = [], []
    for line in re.findall(r"^Requires-Dist: *(.+)$", metadata(folder), re.M) or list(_old_requirements(folder)):
        try:
            found.append(requirement.Requirement(line))
        except ValueError:
            unread.append(line)
    return found, unread


def _old_requirements(folder: str) -> Iterator[str]:
    """The lines of an egg-info's requires.txt, whose sections are ``[extra:marker]``, as requirements."""
    try:
        with open(os.path.join(folder, "requires.txt"), encoding="utf-8", errors="replace") as stream:
            lines = [line.strip() for line in stream]
    except OSError:
        return
    holds = ""
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            extra, _, marker = line[1:-1].partition(":")
            both = (f'extra == "{extra}"' if extra else "", f"({marker})" if marker else "")
            holds = " and ".join(part for part in both if part)
        elif line and not line.startswith("#"):
            yield f"{line} ; {holds}" if holds else line


def required(name: str, path: Iterable[str] | None = None) -> dict[tuple[str, tuple[str, ...]], str]:
    """{(distribution, extras asked of it): who asks} of all that one needs here, itself first, extras followed."""
    places: dict[str, str] = {}
    for found, _, folder in folders(path):
        places.setdefault(found, folder)
    needed: dict[tuple[str, tuple[str, ...]], str] = {(normalised(name), ()): ""}
    queue = list(needed)
    while queue:
        who, extras = queue.pop(0)
        for wanted in requirements(places[who])[0] if who in places else ():
            if applies(wanted, extras) and (wanted.name, wanted.extras) not in needed:
                needed[(wanted.name, wanted.extras)] = who
                queue.append((wanted.name, wanted.extras))
    return needed


def told(line: requirement.Requirement, have: dict[str, str], who: str) -> str:
    """What is wrong with a requirement, of whom, in words; "" where nothing is."""
    asked = f"{line.text} (of {who})" if who else line.text
    if line.name not in have:
        return f"{asked} is missing"
    if versions.fits(line.ranges, have[line.name]) is False:
        return f"{asked} is required, {have[line.name]} is installed"
    return ""


def unmet(name: str, path: Iterable[str] | None = None) -> list[str]:
    """What one distribution, or one that it needs, requires and does not have here, in words."""
    have = installed(path)
    places: dict[str, str] = {}
    for found, _, folder in folders(path):
        places.setdefault(found, folder)
    problems: dict[str, None] = {}
    for who, extras in required(name, path):
        for line in requirements(places[who])[0] if who in places else ():
            if applies(line, extras):
                problems[told(line, have, who)] = None
    return [problem for problem in problems if problem]


def programs(folder: str) -> dict[str, str]:
    """{program: module:function} of a metadata folder's console scripts."""
    try:
        with open(os.path.join(folder, "entry_points.txt"), encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return {}
    section = re.search(r"^\[console_scripts\]\s*$(.*?)(?=^\[|\Z)", text, re.M | re.S)
    lines = re.findall(r"^([^\s=#;][^=\n]*?) *= *([\w.]+:[\w.]+)", section.group(1) if section else "", re.M)
    return dict(lines)


def applies(wanted: requirement.Requirement, extras: Iterable[str] = ()) -> bool:
    """Whether a requirement's marker holds here; one that cannot be read does not."""
    try:
        return wanted.applies(extras)
    except ValueError:
        return False


def release(version: str) -> tuple[int, ...]:
    """A version's leading numbers, for an order of its own."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:4])
