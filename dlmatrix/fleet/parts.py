"""What machines are sent: tars whose bytes follow from their files alone, so that one that is there is known."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dlmatrix.fleet.order import Part
from dlmatrix.system.files import sha256
from dlmatrix.system.state import state_dir

_PACKAGE = Path(__file__).resolve().parents[1]
#: What the checks there are made of, beside this package.
_FOLDERS = ("docker", "envs", "smoke")
_LEFT_OUT = ("__pycache__", "data")


def code_part(root: Path) -> Part:
    """This package, and envs/, docker/ and smoke/ of a root: what ``run`` needs there."""
    files = dict(_files(_PACKAGE, "dlmatrix"))
    for name in _FOLDERS:
        files |= _files(root / name, name)
    return files_part(root, "code", files)


def smoke_part(root: Path) -> Part:
    """smoke/ alone: what checks an interpreter that is there."""
    return files_part(root, "smoke", _files(root / "smoke", "smoke"))


def _files(folder: Path, name: str) -> dict[str, Path]:
    found = {}
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in _LEFT_OUT or (name == "smoke" and one == "data"))
        for file in sorted(files):
            path = Path(here, file)
            if path.suffix != ".pyc":
                found[f"{name}/{path.relative_to(folder).as_posix()}"] = path
    return found


def files_part(root: Path, what: str, files: Mapping[str, Path]) -> Part:
    """Pack files, by their names in the tar; the tar lies in the working folder under its own digest."""
    folder = state_dir(root) / "fleet"
    folder.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            for at in sorted(files):
                entry = tarfile.TarInfo(at)  # owner, date and mode are nobody's
                entry.size = files[at].stat().st_size
                entry.mode = 0o755 if os.access(files[at], os.X_OK) else 0o644
                with files[at].open("rb") as content:
                    archive.addfile(entry, content)
        key = sha256(aside)
        aside.replace(folder / f"{key}.tar")
    finally:
        aside.unlink(missing_ok=True)
    return Part(what=what, key=key, file=folder / f"{key}.tar")
