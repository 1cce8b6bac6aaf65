"""What is in the layers of an image: each is read once, and what was found is kept with the layers of wheels."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from typing import Any

import zstandard

from dlmatrix.engines.docker.images import Images
from dlmatrix.errors import EngineError
from dlmatrix.inspection.layer import Facts, read_layer
from dlmatrix.layers.cache import Cache
from dlmatrix.system.sources import made_by

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20


def look_into(images: Images, ref: str, cache: Cache) -> list[Facts]:
    """What is in each layer of an image, the base's first; the engine is asked for what nobody has read yet."""
    made = made_by([read_layer.__module__])
    wanted = images.identity(ref).layers
    with cache.in_use():
        kept = {diff_id: known for diff_id in wanted if (known := cache.looked(diff_id, made))}
        found = {diff_id: Facts.from_json(known) for diff_id, known in kept.items()}
        for at_hand in (cache.blobs(), []):  # where one at hand is damaged, all are asked for
            if found.keys() >= set(wanted):
                break
            with cache.scratch() as folder:
                for diff_id, stream in images.layers(ref, at_hand, folder):
                    if diff_id in wanted and diff_id not in found and (facts := _read(stream, diff_id)):
                        found[diff_id] = facts
                        cache.note_look(diff_id, made, facts.as_json())
    if gone := [diff_id for diff_id in wanted if diff_id not in found]:
        raise EngineError(f"the engine did not give {gone[0]}, a layer of {ref}", "run it again")
    return [found[diff_id] for diff_id in wanted]


def _read(stream: io.BufferedReader, diff_id: str) -> Facts | None:
    """What is in a layer, compressed or not; None where it is not what its diff id says."""
    head = stream.peek(len(_ZSTD))
    opened: Any = stream
    if head.startswith(_GZIP):
        opened = gzip.GzipFile(fileobj=stream)
    elif head.startswith(_ZSTD):
        opened = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    hashed: Any = _Hashing(opened)
    try:
        facts = read_layer(hashed)
        while hashed.read(_PIECE):  # what fills its last block
            pass
    except (tarfile.TarError, OSError, EOFError, zlib.error, zstandard.ZstdError):
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
