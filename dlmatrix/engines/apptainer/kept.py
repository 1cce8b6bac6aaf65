"""SIF files as a folder keeps them: which are in use, which were used last, and how the others are taken away.

A run holds the file that it uses by a lock, which the kernel lets go of when the run ends, on whichever machine.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: A file that was made here, by its name: what a user has built, and named otherwise, is not ours to remove.
_OURS = re.compile(r"(?:cpu|gpu)-[\w.-]+-[0-9a-f]{16}\.sif", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A SIF file that was made here."""

    file: Path
    #: bytes
    size: int
    #: when a run took it last, in seconds since 1970
    used: float


def taken(file: Path) -> int:
    """The file's descriptor: as long as it is open, at most until this process ends, the file is one in use.

    Raises FileNotFoundError. Where the file system keeps no locks, nobody removes it either.
    """
    held = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_SH)
        with contextlib.suppress(OSError):  # another user's, or on a disk that is only to be read
            os.utime(held)
        # Whoever removed it held it alone until it was gone.
        if not os.path.samestat(file.stat(), os.fstat(held)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    except OSError:
        os.close(held)
        raise
    return held


def kept(folder: Path) -> list[Kept]:
    """The files that were made in a folder, the longest unused first."""
    found = []
    for file in folder.glob("*.sif"):
        with contextlib.suppress(FileNotFoundError):
            if _OURS.fullmatch(file.name):
                stat = file.stat()
                found.append(Kept(file=file, size=stat.st_size, used=stat.st_mtime))
    return sorted(found, key=lambda one: (one.used, one.file.name))


def prune(folder: Path, limit: int) -> tuple[int, list[tuple[Path, str]]]:
    """Remove the longest unused files until no more than ``limit`` bytes are left, and what killed runs half made.

    Returns the bytes that were freed, and the files that would have gone and stay, each with why.
    """
    freed, stay = 0, []
    for half in folder.glob(".*.sif"):
        with _alone(half.with_name(f"{half.name}.lock")) as why:
            if _OURS.fullmatch(half.name[1:]) and not why:
                size = half.stat().st_size
                half.unlink()
                freed += size
    found = kept(folder)
    total = sum(one.size for one in found)
    for one in found:
        if total <= limit:
            break
        with _alone(one.file) as why:
            if why:
                stay.append((one.file, why))
                continue
            one.file.unlink()
        total -= one.size
        freed += one.size
    return freed, stay


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[str]:
    """Hold a file that nobody else holds; why that cannot be, else ""."""
    try:
        held = file.open("r+b")
    except OSError as error:
        yield error.strerror or "cannot be opened"
        return
    with held:
        why = ""
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            why = "in use"
        except OSError as error:
            why = f"cannot be locked: {error.strerror}"
        yield why
