"""Files of the framework's wheels that are not whole, and which wheel a file that an error names came from.

Read from the RECORD of each installed distribution, which names every file with its size.
"""

from __future__ import annotations

import csv
import os
import re
import struct
import sys

from .tree import clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

_DISTRIBUTION = re.compile(r"^(?P<name>.+?)-(?P<version>\d[^-]*)\.dist-info$")
#: The distributions whose libraries a framework loads.
_CHECKED = re.compile(r"^(torch|tensorflow|tf[-_]nightly|triton|nvidia[-_.]|numpy$|jax)", re.I)
_LIBRARY = re.compile(r"\.so(\.\d+)*$")
#: What the dynamic linker says of a file; the file is a path, or a name where it was found nowhere.
_BLAME = re.compile(
    r"(?P<file>[^\s:'\"()]*\.so(?:\.\d+)*): (?P<problem>file too short|invalid ELF header|wrong ELF class|"
    r"ELF load command past end of file|cannot open shared object file|cannot read file data|"
    r"failed to map segment from shared object|cannot enable executable stack|undefined symbol: \w+)"
)
_LIMIT = 20


def damaged() -> list[dict[str, Any]]:
    """Shared objects that are empty, cut off or no ELF files, and those that are gone (only these may be on purpose).

    [{"file", "problem", "size" and "recorded" in bytes, "distribution", "version"}]
    """
    found = []
    for name, version, base, rows in _records():
        if not _CHECKED.match(name):
            continue
        for path, recorded in rows:
            if _LIBRARY.search(path):
                place = os.path.normpath(os.path.join(base, path))
                problem, size = _problem(place)
                if problem and recorded != 0:
                    found.append({"file": clip(place), "problem": problem, "size": size, "recorded": recorded,
                                  "distribution": name, "version": version})  # fmt: skip
    return found[:_LIMIT]


def blamed(text: str) -> list[dict[str, Any]]:
    """Each file that the dynamic linker names in `text`, with what is known of it.

    [{"file", "problem", "distribution", "version", "noexec", "there": the wheel's own file, where there is one}]
    A name without a folder is looked for by its last part; one that no wheel recorded has no distribution.
    """
    found: dict[tuple[str, str], None] = {}
    for match in list(_BLAME.finditer(text))[:_LIMIT]:
        found.setdefault((match.group("file"), match.group("problem")), None)
    if not found:
        return []
    owners: dict[str, dict[str, str | None]] = {}
    for name, version, base, rows in _records():
        for path, _ in rows:
            place = os.path.normpath(os.path.join(base, path))
            there = clip(place) if _LIBRARY.search(path) and os.path.exists(place) else None
            owner: dict[str, str | None] = {"distribution": name, "version": version, "there": there}
            owners.setdefault(os.path.basename(path), owner)
            owners[place] = owner
    none = {"distribution": None, "version": None, "there": None}
    return [
        dict(owners.get(os.path.normpath(file)) or ({} if os.path.isabs(file) else owners.get(file)) or none,
             file=clip(file), problem=problem, noexec=_noexec(file))
        for file, problem in found
    ]  # fmt: skip


def _noexec(file: str) -> bool:
    """Whether a file lies on a file system from which nothing may be mapped as code."""
    try:
        return bool(os.statvfs(file).f_flag & os.ST_NOEXEC)
    except OSError:
        return False


def _records() -> Iterator[tuple[str, str, str, list[tuple[str, int | None]]]]:
    """(name, version, folder, [(path, size in bytes or None)]) of each distribution on sys.path that has a RECORD."""
    seen = set()
    for folder in sys.path:
        real = os.path.realpath(folder or ".")
        if real in seen or not os.path.isdir(real):
            continue
        seen.add(real)
        for entry in sorted(os.listdir(real)):
            match = _DISTRIBUTION.match(entry)
            if match is None:
                continue
            try:
                with open(
                    os.path.join(real, entry, "RECORD"), encoding="utf-8", errors="replace", newline=""
                ) as stream:
                    rows = [(row[0], _size(row)) for row in csv.reader(stream) if row]
            except (OSError, csv.Error):
                continue
            yield re.sub(r"[-_.]+", "-", match.group("name")).lower(), match.group("version"), real, rows


def _size(row: list[str]) -> int | None:
    return int(row[2]) if len(row) > 2 and re.match(r"^\d{1,15}$", row[2]) else None


def _problem(path: str) -> tuple[str | None, int | None]:
    """(what is wrong with this shared object, or None; its size in bytes)."""
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as stream:
            return _content(stream, size), size
    except FileNotFoundError:
        return "missing", None
    except OSError:
        return None, None


def _content(stream: BinaryIO, size: int) -> str | None:
    if size == 0:
        return "empty"
    head = stream.read(64)
    if not head.startswith(b"\x7fELF"):
        # A linker script is text, and is nothing that a process loads.
        return None if re.match(rb"\s*(/\*|INPUT|GROUP|OUTPUT_FORMAT)", head) else "not an ELF file"
    if len(head) < 64 or head[4:6] != b"\x02\x01":
        return "cut off" if len(head) < 64 else None
    (offset,) = struct.unpack_from("<Q", head, 32)
    each, count = struct.unpack_from("<HH", head, 54)
    stream.seek(offset)
    table = stream.read(each * count)
    if len(table) < each * count:
        return "cut off"
    for start in range(0, len(table) - 55, each or 56):
        (at,) = struct.unpack_from("<Q", table, start + 8)
        (length,) = struct.unpack_from("<Q", table, start + 32)
        if at + length > size:
            return "cut off"
    return None
