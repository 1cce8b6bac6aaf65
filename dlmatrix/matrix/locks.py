"""Reads lock files: requirements format, every entry hashed, no index URL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.model import Lock, LockEntry, normal_name
from dlmatrix.system.files import read_limited

#: The wheels an image can install: glibc 2.28 and up, as every base has.
PLATFORM = "x86_64-manylinux_2_28"
_ENTRY = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;*=\\]+)(?=[\s;\\]|$)")
_MARKER = re.compile(r";(.+?)(?=--hash=)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


def read_lock(file: Path, relock: str) -> Lock:
    """Parse and check a lock file.

    ``relock`` is the command that regenerates it, for the messages. Raises ConfigError for a
    missing file, an entry without a sha256, an option line or an address of an index.
    """
    try:
        data = read_limited(file)
    except FileNotFoundError:
        raise ConfigError(f"{file}: there is no lock", f"generate it: {relock}") from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{file}: {what}", "see what is there, and restore it from git") from None
    return parse_lock(file, data.decode("utf-8", "replace"), f"regenerate it: {relock}")


def parse_lock(file: Path, text: str, next_step: str) -> Lock:
    """Parse and check what ``file`` holds, or should hold; errors as of ``read_lock``."""
    entries = tuple(_entries(file, text, next_step))
    if not entries:
        raise ConfigError(f"{file}: the lock names no distribution", next_step)
    return Lock(file=file, sha256=hashlib.sha256(text.encode()).hexdigest(), entries=entries)


def write_lock(file: Path, entries: Iterable[LockEntry]) -> Path:
    """Write some entries of a lock, with their hashes, as a lock."""
    lines = (" ".join([f"{e.name}=={e.version}", *(f"--hash=sha256:{h}" for h in e.hashes)]) for e in entries)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def _entries(file: Path, text: str, next_step: str) -> list[LockEntry]:
    found: list[LockEntry] = []
    seen: dict[tuple[str, str], int] = {}
    for number, line in _logical_lines(text):
        entry = _ENTRY.match(line)
        hashes = tuple(_HASH.findall(line))
        if "://" in line or line.startswith("-"):
            raise ConfigError(f"{file}:{number}: only name==version entries belong in a lock", next_step)
        if not entry:
            raise ConfigError(f"{file}:{number}: not an exact pin: {line[:60]}", next_step)
        if not hashes:
            raise ConfigError(f"{file}:{number}: {entry[1]} has no sha256", next_step)
        marker = told[1].strip() if (told := _MARKER.search(line)) else ""
        if marker and not _is_marker(marker):
            raise ConfigError(f"{file}:{number}: not a marker: {marker[:60]}", next_step)
        name = normal_name(entry[1])
        if (first := seen.setdefault((name, marker), number)) != number:
            raise ConfigError(f"{file}:{number}: {name} is locked twice: in line {first}, too", next_step)
        found.append(LockEntry(name=name, version=entry[2], hashes=hashes, marker=marker))
    return found


def _is_marker(text: str) -> bool:
    from packaging.markers import InvalidMarker, Marker  # noqa: PLC0415 - no env's lock has one

    try:
        Marker(text)
    except InvalidMarker:
        return False
    return True


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Join backslash continuations; give each the number of its first line; drop comments."""
    joined: list[tuple[int, str]] = []
    pending = False
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            pending = False
            continue
        body = line.removesuffix("\\").rstrip()
        if pending:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]} {body}")
        else:
            joined.append((number, body))
        pending = line.endswith("\\")
    return joined
