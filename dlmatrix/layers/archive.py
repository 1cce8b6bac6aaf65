"""Writes a layer: a tar with fixed dates, owners and modes, compressed by a pinned zstd, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from dlmatrix.layers.installed import PREFIX, File
from dlmatrix.layers.maker import LEVEL

_PIECE = 1 << 20
#: Layers that are written at once, and the threads with which zstd compresses each: four of four take 200 MB.
_MOST = 4


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A layer as it was written: the digests of the compressed file and of the tar, and both their sizes in bytes."""

    digest: str
    diff_id: str
    size: int
    tar_size: int


def at_once() -> int:
    """How many layers this machine writes at once."""
    return min(_MOST, os.cpu_count() or 1)


def write_layer(files: Sequence[File], bytecode: Iterable[File], target: Path, epoch: int) -> Blob:
    """Write files, which lie below PREFIX, and the folders above them as a layer; last what has to be waited for."""
    with target.open("wb") as stream:
        out: Any = _Digesting(stream)
        # With one thread or more zstd writes the same bytes; with none, others.
        context = zstandard.ZstdCompressor(level=LEVEL, threads=at_once())
        with context.stream_writer(out, write_size=_PIECE, closefd=False) as compressed:
            inner: Any = _Digesting(compressed)
            with tarfile.TarFile(fileobj=inner, mode="w", format=tarfile.GNU_FORMAT, copybufsize=_PIECE) as tar:
                _add(tar, _ordered(files, bytecode), epoch)
    return Blob(digest=out.digest(), diff_id=inner.digest(), size=out.size, tar_size=inner.size)


def _ordered(files: Sequence[File], bytecode: Iterable[File]) -> Iterator[File]:
    """Each path once; bytecode takes the place of what a wheel brought."""
    brought = {file.path: file for file in files if "/__pycache__/" in file.path}
    yield from sorted((file for file in files if file.path not in brought), key=_by_path)
    for file in bytecode:
        brought.pop(file.path, None)
        yield file
    yield from sorted(brought.values(), key=_by_path)


def _by_path(file: File) -> str:
    return file.path


def _add(tar: tarfile.TarFile, files: Iterable[File], epoch: int) -> None:
    folders: set[str] = set()
    for file in files:
        name = f"{PREFIX}/{file.path}"
        for parent in [*_above(name), *([name] if file.content is None else [])]:
            if parent not in folders:
                folders.add(parent)
                tar.addfile(_member(parent, epoch, 0o755, kind=tarfile.DIRTYPE))
        if file.content is None:
            continue
        member = _member(name, epoch, 0o755 if file.executable else 0o644)
        if isinstance(file.content, bytes):
            member.size = len(file.content)
            tar.addfile(member, io.BytesIO(file.content))
        else:
            with file.content.open("rb") as stream:
                member.size = os.fstat(stream.fileno()).st_size
                tar.addfile(member, stream)
        tar.members.clear()  # type: ignore[attr-defined]  # it would remember them all


def _member(name: str, epoch: int, mode: int, *, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mtime, member.mode, member.type = epoch, mode, kind
    return member


def _above(name: str) -> list[str]:
    """The folders that a path lies in, the uppermost first."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


class _Digesting:
    """A stream that is told the digest and the size of what goes through it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._digest, self.size = stream, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        self._stream.write(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"
