"""Whether a local environment still holds what its lock says: every distribution, and every file of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dlmatrix.layers.record import record_rows
from dlmatrix.matrix.model import Lock, normal_name

#: Characters of a path that are told.
_TOLD = 240


def changed(site_packages: Path, lock: Lock) -> str:
    """The first difference between an environment and its lock, "" where there is none.

    Versions are read from the names of the .dist-info folders, and each file that a RECORD lists must be there with
    the size that stands there. Contents are not read: that would take longer than to install it anew.
    """
    wanted = {entry.name: entry.version for entry in lock.entries}
    folders = {_title(folder): folder for folder in site_packages.glob("*.dist-info")}
    found = dict(folders.keys())
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            return f"{name} is {found.get(name, 'gone')}, and {wanted.get(name, 'not')} locked"
    return next((gone for folder in sorted(folders.values()) for gone in _gone(folder)), "")


def _title(folder: Path) -> tuple[str, str]:
    name, _, version = folder.name.removesuffix(".dist-info").partition("-")
    return normal_name(name), version


def _gone(folder: Path) -> Iterator[str]:
    try:
        rows = record_rows((folder / "RECORD").read_text(encoding="utf-8"))
    except OSError:
        yield f"{folder.name} has no RECORD"
        return
    except ValueError:
        yield f"{folder.name} has a RECORD that is none"
        return
    for path, _digest, size in (row for row in rows if len(row) == 3):
        try:
            there = str((folder.parent / path).stat().st_size)
        except (OSError, ValueError):  # of a path that none can be
            yield f"{path[:_TOLD]} is gone"
            return
        if size and there != size:
            yield f"{path[:_TOLD]} has {there} bytes instead of {size[:_TOLD]}"
            return
