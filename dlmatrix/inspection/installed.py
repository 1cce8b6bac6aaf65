"""Whether a local environment still holds what its lock says: every distribution, and every file of each."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.layers.record import record_rows
from dlmatrix.matrix.model import Lock, normal_name
from dlmatrix.system.files import read_limited, sha256

#: Characters of a path that are told.
_TOLD = 240
#: How a RECORD writes a digest of this kind.
_SHA256 = "sha256="


def changed(site_packages: Path, lock: Lock, since: int) -> str:
    """The first difference between an environment and its lock, "" where there is none.

    Versions are read from the names of the .dist-info folders, and each file that a RECORD lists must be there with
    the size that stands there; of what the system says was touched from ``since`` on (nanoseconds) the bytes are held
    against the RECORD, too. To read them all would take seconds, each time.
    """
    wanted = {entry.name: entry.version for entry in lock.entries}
    folders = {_title(folder): folder for folder in site_packages.glob("*.dist-info")}
    found = dict(folders.keys())
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            return f"{name} is {found.get(name, 'gone')}, and {wanted.get(name, 'not')} locked"
    return next((other for folder in sorted(folders.values()) for other in _otherwise(folder, since)), "")


def _title(folder: Path) -> tuple[str, str]:
    name, _, version = folder.name.removesuffix(".dist-info").partition("-")
    return normal_name(name), version


def _otherwise(folder: Path, since: int) -> Iterator[str]:
    try:
        rows = record_rows(read_limited(folder / "RECORD").decode("utf-8"))
    except OSError:
        yield f"{folder.name} has no RECORD"
        return
    except ValueError:
        yield f"{folder.name} has a RECORD that is none"
        return
    for path, digest, size in (row for row in rows if len(row) == 3):
        file = folder.parent / path
        try:
            there = file.stat()
            if size and str(there.st_size) != size:
                yield f"{path[:_TOLD]} has {there.st_size} bytes instead of {size[:_TOLD]}"
            elif there.st_ctime_ns >= since and digest.startswith(_SHA256) and digest != _digest(file):
                yield f"{path[:_TOLD]} has other bytes than it came with"
        except (OSError, ValueError):  # of a path that none can be
            yield f"{path[:_TOLD]} is gone"


def _digest(file: Path) -> str:
    """As a RECORD has it: https://packaging.python.org/en/latest/specifications/recording-installed-packages/."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(sha256(file)))
    return f"{_SHA256}{digest.decode().rstrip('=')}"
