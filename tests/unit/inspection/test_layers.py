"""A layer is read once, by its diff id; one that is not what that says is asked for again, and never believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from dlmatrix.errors import EngineError
from dlmatrix.inspection import layers
from dlmatrix.inspection.digests import Identity
from dlmatrix.inspection.layers import look_into
from dlmatrix.inspection.private import Private
from dlmatrix.layers.cache import Cache


def tar(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        archive.addfile(member)
    return stream.getvalue()


def diff_id(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Images:
    """An engine with one image, whose layers it gives as they are told, first for those at hand and then all."""

    def __init__(self, tars: Iterable[bytes], *given: Callable[[bytes], bytes]) -> None:
        self.tars, self.given, self.asked = list(tars), list(given), 0

    def identity(self, ref: str) -> Identity:
        return Identity(manifest="", config="", layers=tuple(map(diff_id, self.tars)))

    def layers(self, ref: str, at_hand: Iterable[Path], folder: Path) -> Iterator[tuple[str, Any]]:
        self.asked += 1
        assert folder.is_dir()
        for data in self.tars:
            yield diff_id(data), io.BufferedReader(io.BytesIO(self.given[0](data)))  # type: ignore[arg-type]
        self.given = self.given[1:] or self.given


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def whole(data: bytes) -> bytes:
    return data


def files(images: Any, cache: Cache, private: Private | None = None, key: bytes = b"ours") -> list[list[str]]:
    found = look_into(images, "image", private or Private(), cache, key)
    assert [diff for diff, _ in found] == [diff_id(data) for data in images.tars]
    return [list(facts.entries) for _, facts in found]


@pytest.mark.parametrize("compress", [whole, gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_layer_is_read_once_however_it_is_compressed(cache: Cache, compress: Callable[[bytes], bytes]) -> None:
    images = Images([tar("a"), tar("b"), tar("a")], compress)
    assert [files(images, cache) for _ in range(2)] == [[["/a"], ["/b"], ["/a"]]] * 2
    assert images.asked == 1
    images.tars.append(tar("c"))
    assert files(images, cache)[3] == ["/c"]
    assert images.asked == 2


def test_what_other_code_found_or_who_looked_for_something_else_is_not_taken(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = Images([tar("a")], whole)
    files(images, cache)
    monkeypatch.setattr(layers, "made_by", lambda modules: "newer")
    files(images, cache)
    assert images.asked == 2
    files(images, cache, Private(passwords=("me:other",)))
    assert images.asked == 3


def test_what_is_kept_holds_no_digest_that_others_could_guess_a_password_by(cache: Cache) -> None:
    """Plain SHA-256 of index passwords stood in a cache that a lab may share."""
    images, own = Images([tar("a")], whole), Private(passwords=("me:other",))
    files(images, cache, own)
    files(images, cache, own)
    assert images.asked == 1
    files(images, cache, own, key=b"another's")
    assert images.asked == 2
    files(images, cache, Private(certificates=("AB+/",)))
    files(images, cache, Private(certificates=("AB+/",)), key=b"another's")
    assert images.asked == 3, "where no password is looked for, what was found is for all"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: tar("another"),
        lambda data: b"",
        lambda data: gzip.compress(data)[:-9],
        lambda data: gzip.compress(data)[:20] + b"\xff" * 20,
        lambda data: zstandard.ZstdCompressor().compress(data)[:-3] + b"xyz",
    ],
)
def test_a_damaged_layer_at_hand_is_asked_for(cache: Cache, damage: Callable[[bytes], bytes]) -> None:
    images = Images([tar("a")], damage, whole)
    assert files(images, cache) == [["/a"]]
    assert images.asked == 2
    never = Images([tar("b")], damage)
    with pytest.raises(EngineError, match="did not give sha256:"):
        files(never, cache)
    assert not list(cache.folder.glob("tmp-*"))
