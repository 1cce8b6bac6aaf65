"""A bundle's file, or the volumes it was split into, as one row of bytes: read anywhere, or written to its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dlmatrix.errors import BundleError, BusyError, UsageError
from dlmatrix.system.files import naming

_NUMBERED = re.compile(r"(.+)\.(\d{3})")
#: Bytes that are handled at once.
PIECE = 1 << 20


class Joined:
    """The bytes of a file, or of all its volumes.

    Raises UsageError where there is no such file, BundleError where one of its volumes is missing.
    """

    def __init__(self, file: Path) -> None:
        self.name = str(file)
        self._files: list[tuple[int, IO[bytes]]] = []
        self.size = 0
        with contextlib.ExitStack() as opened:
            for one in volumes_of(file):
                stream = opened.enter_context(one.open("rb", buffering=0))
                self._files.append((self.size, stream))
                self.size += os.fstat(stream.fileno()).st_size
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """So many bytes from a place on; fewer where there are no more."""
        for number, (start, stream) in enumerate(self._files):
            end = self._files[number + 1][0] if number + 1 < len(self._files) else self.size
            while size and start <= offset < end:
                stream.seek(offset - start)
                piece = stream.read(min(size, PIECE, end - offset))
                if not piece:  # it has become shorter meanwhile
                    return
                offset, size = offset + len(piece), size - len(piece)
                yield piece

    def read(self, offset: int, size: int) -> bytes:
        """The same in one."""
        return b"".join(self.pieces(offset, size))


def base_of(file: Path) -> Path:
    """A bundle's name, which its volumes have with a number behind it."""
    numbered = _NUMBERED.fullmatch(file.name)
    return file.with_name(numbered[1]) if numbered else file


def volumes_of(file: Path) -> list[Path]:
    """A bundle's files: itself, or the volumes NAME.001 and on, whichever of them, or NAME, is named."""
    base = base_of(file)
    if file == base and (file.exists() or not base.with_name(f"{base.name}.001").exists()):
        if not file.is_file():
            raise UsageError(f"there is no bundle {file}", "name the file that `bundle --out FILE` wrote")
        return [file]
    found = {int(one.name[-3:]): one for one in base.parent.glob(f"{_escaped(base.name)}.[0-9][0-9][0-9]")}
    for number in range(1, max(found, default=1) + 1):
        if number not in found:
            raise BundleError(
                f"{base.name}.{number:03}: this volume is missing", f"copy all volumes to one folder: {base.parent}"
            )
    return [found[number] for number in sorted(found)]


class Output:
    """Writes a bundle as NAME.part, or its volumes, and renames it once it is whole.

    What an earlier, interrupted try left is compared with what is written, and kept as far as it is the same.
    """

    def __init__(self, file: Path, volume: int | None) -> None:
        self._file, self._volume = file, volume
        self._number, self._left = 0, 0
        self._stream: IO[bytes] | None = None
        self._comparing = True
        #: bytes that were written, and how many of them were there already
        self.written, self.kept = 0, 0
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Output:
        self._lock = self._part(1).open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise BusyError(f"{self._file}: another process is making it", "wait for it to end") from None
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._stream, self._lock):
            if stream:
                stream.close()

    def write(self, data: bytes) -> None:
        """Add bytes; where a volume is full, the rest goes into the next."""
        view = memoryview(data)
        self.written += len(view)
        while view:
            if self._stream is None or not self._left:
                self._next()
            piece = view[: self._left]
            self._put(piece)
            self._left -= len(piece)
            view = view[len(piece) :]

    def write_whole(self, data: bytes) -> None:
        """Add bytes that no two volumes may share."""
        if self._volume and self._left < len(data):
            self._next()
        self.write(data)

    @property
    def there(self) -> int:
        """Bytes that an earlier try has left."""
        parts = [self._part(1)] if not self._volume else self._file.parent.glob(f"{_escaped(self._file.name)}.part.*")
        return sum(part.stat().st_size for part in parts)

    def finish(self) -> list[Path]:
        """Make it safe and give it its name; returns the files."""
        self._close()
        self._forget()
        names = [self._final(number) for number in range(1, self._number + 1)]
        for number, name in enumerate(names, 1):
            self._part(number).replace(name)
        return names

    def _put(self, piece: memoryview) -> None:
        assert self._stream is not None  # noqa: S101 - tells mypy what write has seen to
        with naming(self._part(self._number)):
            if self._comparing:
                place = self._stream.tell()
                if self._stream.read(len(piece)) == piece:
                    self.kept += len(piece)
                    return
                self._stream.seek(place)
                self._stream.truncate()
                self._forget()
                self._comparing = False
            while piece:
                piece = piece[self._stream.write(piece) :]

    def _next(self) -> None:
        self._close()
        self._number += 1
        self._left = self._volume or 1 << 62
        part = self._part(self._number)
        self._stream = part.open("r+b" if part.exists() else "w+b", buffering=0)

    def _close(self) -> None:
        if self._stream:
            self._stream.truncate()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._stream = None

    def _forget(self) -> None:
        """Remove the volumes behind this one, of an earlier try."""
        number = self._number + 1
        while self._volume and self._part(number).exists():
            self._part(number).unlink()
            number += 1

    def _part(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.part{f'.{number:03}' if self._volume else ''}")

    def _final(self, number: int) -> Path:
        return self._file.with_name(f"{self._file.name}.{number:03}") if self._volume else self._file


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
