"""What is in the layers of an image: each is read once, and what was found is kept with the layers of wheels."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import zstandard

from dlmatrix.errors import EngineError
from dlmatrix.inspection.digests import Identity
from dlmatrix.inspection.layer import Facts, read_layer
from dlmatrix.inspection.private import Private
from dlmatrix.layers.cache import Cache
from dlmatrix.system.sources import made_by

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20


class Images(Protocol):
    """The images of an engine, as far as this module asks."""

    def identity(self, ref: str) -> Identity:
        """An image's digests."""

    def layers(self, ref: str, at_hand: Iterable[Path], folder: Path) -> Iterator[tuple[str, io.BufferedReader]]:
        """The layers of an image: what each is unpacked (its diff id), and its file, compressed or not."""


def look_into(images: Images, ref: str, private: Private, cache: Cache, key: bytes) -> list[tuple[str, Facts]]:
    """What is in each layer of an image, by its diff id, the base's first.

    What nobody has looked into yet, the engine is asked for. ``key`` is what no other user knows. Raises EngineError
    for what the engine does not give.
    """
    made = f"{made_by([read_layer.__module__])} {private.digest(key)}"
    wanted = images.identity(ref).layers
    with cache.in_use():
        kept = {diff_id: known for diff_id in wanted if (known := cache.looked(diff_id, made))}
        found = {diff_id: Facts.from_json(known) for diff_id, known in kept.items()}
        for at_hand in (cache.blobs(), []):  # where one at hand is damaged, all are asked for
            if found.keys() >= set(wanted):
                break
            with cache.scratch() as folder:
                for diff_id, stream in images.layers(ref, at_hand, folder):
                    if diff_id in wanted and diff_id not in found and (facts := _read(stream, diff_id, private)):
                        found[diff_id] = facts
                        cache.note_look(diff_id, made, facts.as_json())
    if gone := [diff_id for diff_id in wanted if diff_id not in found]:
        raise EngineError(f"the engine did not give {gone[0]}, a layer of {ref}", "run it again")
    return [(diff_id, found[diff_id]) for diff_id in wanted]


def _read(stream: io.BufferedReader, diff_id: str, private: Private) -> Facts | None:
    """What is in a layer, compressed or not; None where it is not what its diff id says."""
    head = stream.peek(len(_ZSTD))
    opened: Any = stream
    if head.startswith(_GZIP):
        opened = gzip.GzipFile(fileobj=stream)
    elif head.startswith(_ZSTD):
        opened = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    hashed: Any = _Hashing(opened)
    try:
        facts = read_layer(hashed, private)
        while hashed.read(_PIECE):  # what fills its last block
            pass
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError):
        return None
    return facts if hashed.digest.hexdigest() == diff_id.removeprefix("sha256:") else None


class _Hashing:
    """A stream that knows the digest of what was read of it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.digest.update(data)
        return data
