"""Writes a layer: a tar with fixed dates, owners and modes, compressed by a pinned zstd, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from dlmatrix.layers.installed import PREFIX, File
from dlmatrix.layers.maker import LEVEL

_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A layer as it was written: the digests of the compressed file and of the tar, and both their sizes in bytes."""

    digest: str
    diff_id: str
    size: int
    tar_size: int


def write_layer(files: Iterable[File], target: Path, epoch: int) -> Blob:
    """Write files, which lie below PREFIX, and the folders above them as a layer."""
    with target.open("wb") as stream:
        out: Any = _Digesting(stream)
        # With one thread or more zstd writes the same bytes; with none, others.
        context = zstandard.ZstdCompressor(level=LEVEL, threads=max(1, os.cpu_count() or 1))
        with context.stream_writer(out, write_size=_PIECE, closefd=False) as compressed:
            inner: Any = _Digesting(compressed)
            with tarfile.TarFile(fileobj=inner, mode="w", format=tarfile.GNU_FORMAT, copybufsize=_PIECE) as tar:
                _add(tar, files, epoch)
    return Blob(digest=out.digest(), diff_id=inner.digest(), size=out.size, tar_size=inner.size)


def _add(tar: tarfile.TarFile, files: Iterable[File], epoch: int) -> None:
    members: dict[str, File | None] = {}
    for file in files:
        name = f"{PREFIX}/{file.path}"
        members[name] = file
        while name := os.path.dirname(name):
            members.setdefault(name, None)
    for name, member in sorted(members.items()):
        info = tarfile.TarInfo(name)
        info.mtime = epoch
        if member is None or member.content is None:
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
            continue
        info.mode = 0o755 if member.executable else 0o644
        if isinstance(member.content, bytes):
            info.size = len(member.content)
            tar.addfile(info, io.BytesIO(member.content))
        else:
            with member.content.open("rb") as stream:
                info.size = os.fstat(stream.fileno()).st_size
                tar.addfile(info, stream)


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
