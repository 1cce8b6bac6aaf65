"""Unpacks a bundle: whole and verified, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.bundle.manifest import FOLDER, LONGEST, MANIFEST, Member
from dlmatrix.bundle.reader import Bundle, Progress
from dlmatrix.errors import BusyError, DiskFullError, UsageError
from dlmatrix.system.files import naming, read_limited

#: Bytes that a disk is to have beside those of the members: for folders, and files' last blocks.
_SPARE = 16 << 20


def unpack(
    bundle: Bundle, folder: Path, progress: Progress = lambda done, all_of: None, *, checkout: bool = True
) -> None:
    """Make ``folder``, which must not be there or be empty, of a bundle's members, with or without its checkout.

    They are written beside it, and it gets its name when all are verified. Raises BundleError for a bundle that is
    refused and DiskFullError where there is no room: nothing is left of either.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise UsageError(f"{folder}: is there already", "name a folder that is new, or empty")
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    needed = sum(member.size for member in bundle.manifest.members) + _SPARE
    if free < needed:
        raise DiskFullError(
            f"{folder.parent}: {needed / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free",
            "free some space, or name a folder on another disk",
        )
    with _beside(folder) as made, naming(made):
        for member, pieces in bundle.members(progress):
            if checkout or member.path.startswith(f"{FOLDER}/"):
                _write(made, member, pieces)
            else:
                deque(pieces, maxlen=0)  # verified all the same
        manifest = made / MANIFEST
        manifest.parent.mkdir(exist_ok=True)
        manifest.write_bytes(bundle.signed)
        made.rename(folder)  # also onto an empty one


def holds(folder: Path, bundle: Bundle) -> bool:
    """Whether a folder was unpacked from this very bundle."""
    try:
        return read_limited(folder / MANIFEST, LONGEST) == bundle.signed
    except (OSError, ValueError):
        return False


def _write(folder: Path, member: Member, pieces: Iterator[bytes]) -> None:
    file = folder / member.path
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("xb") as stream:
        for piece in pieces:
            stream.write(piece)
    file.chmod(0o755 if member.executable else 0o644)


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder beside another, held, and removed in the end unless it has got the other's name.

    What a killed process left there is removed at the beginning.
    """
    place = folder.with_name(f".{folder.name}.unpacking")
    place.mkdir(mode=0o700, exist_ok=True)
    held = os.open(place, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(f"{folder}: another process is unpacking it", "wait for it to end") from None
        made = place / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        try:
            yield made
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(held)
