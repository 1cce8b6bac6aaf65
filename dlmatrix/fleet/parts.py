"""What machines are sent: tars whose bytes follow from their files alone, so that one that is there is known."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from dlmatrix.fleet.order import Part
from dlmatrix.system.checkout import files_of, package_files
from dlmatrix.system.files import sha256

#: What the checks there are made of, beside this package.
_FOLDERS = ("docker", "envs", "smoke")


def code_part(root: Path, folder: Path) -> Part:
    """This package, and envs/, docker/ and smoke/ of a root, packed into a folder: what ``run`` needs there."""
    files = package_files()
    for name in _FOLDERS:
        files |= files_of(root / name, name)
    return files_part(folder, "code", files)


def smoke_part(root: Path, folder: Path) -> Part:
    """smoke/ alone: what checks an interpreter that is there."""
    return files_part(folder, "smoke", files_of(root / "smoke", "smoke"))


def files_part(folder: Path, what: str, files: Mapping[str, Path]) -> Part:
    """Pack files, by their names in the tar, into a folder that goes with the command: only machines keep parts."""
    aside = folder / "packing"
    with tarfile.open(aside, mode="w") as archive:
        for at in sorted(files):
            entry = tarfile.TarInfo(at)  # owner, date and mode are nobody's
            entry.size = files[at].stat().st_size
            entry.mode = 0o755 if os.access(files[at], os.X_OK) else 0o644
            with files[at].open("rb") as content:
                archive.addfile(entry, content)
    key = sha256(aside)
    return Part(what=what, key=key, file=aside.replace(folder / f"{key}.tar"))
