"""The layers that this user's machine has made, each under the digest of all that it is a function of.

Nothing in it is believed: a blob is held against its digest when it is used, and what is damaged, of another version
or half there counts as not there, so it is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlmatrix.errors import BuildError, DiskFullError
from dlmatrix.layers.archive import Blob
from dlmatrix.layers.layout import sound_manifest
from dlmatrix.system.files import replace, sha256

#: Bytes that the cache may take before the longest unused is removed.
LIMIT = 40_000_000_000


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One layer of the cache."""

    key: str
    blob: Blob
    #: the distributions, as name==version
    holds: tuple[str, ...]
    #: when it was last used, in seconds since 1970
    used: float


class Cache:
    """A folder of layers. Two runs may use it at once: everything is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """While layers are made and taken, no run removes any.

        Raises DiskFullError where this user may not write here, BuildError where somebody removed the folder meanwhile.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                yield
        except (PermissionError, FileNotFoundError) as error:
            if not str(error.filename).startswith(str(self.folder)):
                raise
            if isinstance(error, PermissionError):
                what, own = f"{error.filename}: {error.strerror}", "name a folder of your own"
                raise DiskFullError(what, f"{own} for layers: export DLMATRIX_CACHE_DIR=DIR") from None
            raise BuildError(f"{self.folder}: the layers were removed meanwhile", "run it again") from None

    def fact(self, key: str) -> dict[str, Any] | None:
        """What was noted under a key; None where nothing readable was."""
        return self._read("facts", key)

    def note(self, key: str, fact: Mapping[str, Any]) -> None:
        """Note something under a key."""
        self._write("facts", key, fact)

    def looked(self, diff_id: str, made: str) -> dict[str, Any] | None:
        """What was found in a layer by code with this digest (``made_by``); None where nothing readable was."""
        name = diff_id.removeprefix("sha256:")
        found = self._read("looked", name)
        if found is None or found.pop("made", "") != made:
            return None
        with contextlib.suppress(OSError):
            os.utime(self._record("looked", name))
        return found

    def note_look(self, diff_id: str, made: str, found: Mapping[str, Any]) -> None:
        """Note what was found in a layer, in the place of what other code found."""
        self._write("looked", diff_id.removeprefix("sha256:"), {"made": made, **found})

    def blobs(self) -> list[Path]:
        """Every layer's file, those of bases too, by digest; nothing of them is looked into."""
        return [*(self.folder / "blobs").glob("*"), *(self.folder / "bases").glob("*/blobs/sha256/*")]

    def find(self, key: str) -> Kept | None:
        """The layer of a key, its file there and as its digest says; None where it must be made."""
        try:
            kept = self._kept(key)
            file = self.file(kept.blob)
            sound = file.stat().st_size == kept.blob.size and f"sha256:{sha256(file)}" == kept.blob.digest
        except (OSError, KeyError, TypeError, ValueError):
            return None
        if not sound:
            return None
        with contextlib.suppress(OSError):
            os.utime(self._record("layers", key))
        return kept

    def keep(self, key: str, blob: Blob, made: Path, holds: tuple[str, ...]) -> Kept:
        """Take in a layer that was made in ``scratch()``; also where one of the same digest is there, maybe damaged."""
        file = self.file(blob)
        file.parent.mkdir(exist_ok=True)
        made.replace(file)
        self._write("layers", key, {"blob": asdict(blob), "holds": list(holds)})
        return Kept(key=key, blob=blob, holds=holds, used=time.time())

    def file(self, blob: Blob) -> Path:
        """Where the file of a layer lies."""
        return self.folder / "blobs" / blob.digest.removeprefix("sha256:")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the cache's own file system, always removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"tmp-{os.getpid()}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep_base(self, made: Path, kept: Path) -> None:
        """Take in a base's layout that was made in ``scratch()``, in the place of one that is not sound.

        A sound one is another run's that was faster, which may be reading it.
        """
        kept.parent.mkdir(exist_ok=True)
        if not sound_manifest(kept):
            with contextlib.suppress(FileNotFoundError):
                kept.rename(made.with_name("damaged"))
            with contextlib.suppress(OSError):
                made.rename(kept)

    def all(self) -> list[Kept]:
        """Every layer, the longest unused first; files are not looked into."""
        found = []
        for file in (self.folder / "layers").glob("*.json"):
            with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
                found.append(self._kept(file.stem))
        return sorted(found, key=lambda kept: kept.used)

    def prune(self, limit: int = LIMIT) -> int | None:
        """Remove the longest unused layers until no more than ``limit`` bytes are left, and what nobody refers to.

        Bases stay: they are few and small, and an engine need not have them any more.

        Returns the bytes that were freed; None where another run uses the cache.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone() as alone:
            if not alone:
                return None
            before = _size(self.folder)
            left = list(found := self.all())
            total = sum({kept.blob.digest: kept.blob.size for kept in left}.values())
            while left and total > limit:
                kept = left.pop(0)
                self._record("layers", kept.key).unlink(missing_ok=True)
                if all(kept.blob.digest != other.blob.digest for other in left):
                    total -= kept.blob.size
            wanted = {self.file(kept.blob).name for kept in left}
            for file in (self.folder / "blobs").glob("*"):
                if file.name not in wanted:
                    file.unlink(missing_ok=True)
            self._forget(found, left)
            self._remove_left()
            return before - _size(self.folder)

    def remove_left(self) -> None:
        """Remove what a run that was killed left half made; not while another run uses the cache."""
        with contextlib.suppress(OSError):  # of a folder that is not to be written, whoever makes a layer tells
            if any(self.folder.glob("tmp-*")):
                with self._alone() as alone:
                    if alone:
                        self._remove_left()

    def _remove_left(self) -> None:
        for folder in self.folder.glob("tmp-*"):
            shutil.rmtree(folder, ignore_errors=True)  # a living run holds the lock

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other run uses the cache, nor will for the time of the block."""
        with (self.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    def _forget(self, before: Iterable[Kept], left: Sequence[Kept]) -> None:
        """Remove what was found in layers that were here, and in others once it is unused for longer than all left."""
        were, are = ({kept.blob.diff_id.removeprefix("sha256:") for kept in some} for some in (before, left))
        for file in (self.folder / "looked").glob("*.json"):
            unused = not left or file.stat().st_mtime < left[0].used
            if file.stem not in are and (file.stem in were or unused):
                file.unlink(missing_ok=True)

    def _kept(self, key: str) -> Kept:
        found = self._read("layers", key)
        if found is None:
            raise KeyError(key)
        blob = Blob(**found["blob"])
        used = self._record("layers", key).stat().st_mtime
        return Kept(key=key, blob=blob, holds=tuple(found["holds"]), used=used)

    def _record(self, kind: str, key: str) -> Path:
        return self.folder / kind / f"{key}.json"

    def _read(self, kind: str, key: str) -> dict[str, Any] | None:
        """A record, which says its own key and its own digest: one that was exchanged or cut short is none."""
        try:
            found = json.loads(self._record(kind, key).read_text(encoding="utf-8"))
            said = found.pop("check")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if said == _check(key, found) else None

    def _write(self, kind: str, key: str, found: Mapping[str, Any]) -> None:
        record = self._record(kind, key)
        record.parent.mkdir(parents=True, exist_ok=True)
        replace(record, json.dumps({**found, "check": _check(key, found)}))


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The user's cache of layers: $DLMATRIX_CACHE_DIR, else $XDG_CACHE_HOME/dlmatrix (default: ~/.cache/dlmatrix)."""
    if named := environ.get("DLMATRIX_CACHE_DIR"):
        return Path(named).absolute() / "layers"
    shared = environ.get("XDG_CACHE_HOME", "")
    base = Path(shared) if os.path.isabs(shared) else Path(environ.get("HOME", "/")) / ".cache"
    return base / "dlmatrix" / "layers"


def _check(key: str, found: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{key} {json.dumps(found, sort_keys=True)}".encode()).hexdigest()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
