"""Explains how two builds of one image differ: first differing layer, path, what, and the likely cause.

Reads the tar that ``docker save`` writes, or buildx's ``--output type=oci``: both hold an OCI image
layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from dlmatrix.errors import ContractError
from dlmatrix.system.toml import read_toml

#: What of an entry is compared, in the order in which it is told.
PROPERTIES = ("type", "content", "link target", "mode", "owner", "mtime", "xattr")
ONE_ONLY, ORDER, TAR, CONFIG = "present in one only", "order", "tar bytes", "config"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer's entries in their order; ``diff_id`` is the digest of its uncompressed tar."""

    diff_id: str
    entries: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Image:
    """What two builds of one image are compared by."""

    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not alike. ``layer`` counts from 1; it is 0 for the image's config."""

    layer: int
    path: str
    what: str
    left: str
    right: str
    cause: str

    def __str__(self) -> str:
        where = f"layer {self.layer}: /{self.path}" if self.layer else self.path
        return f"{where}: {self.what}: {self.left} against {self.right}; likely cause: {self.cause}"


@dataclass(frozen=True, kw_only=True)
class _Cause:
    what: re.Pattern[str]
    path: re.Pattern[str]
    text: str


def read_image(file: Path) -> Image:
    """Read an image tar. Raises ContractError for one that holds no image, or layers compressed with zstd.

    Export with ``compression=uncompressed,force-compression=true``: Python has no zstd before 3.14.
    """
    try:
        with tarfile.open(file) as tar:
            manifest = _first_manifest(tar)
            config = _json(tar, manifest["config"]["digest"])
            layers = tuple(
                _read_layer(tar, blob["digest"], diff_id)
                for blob, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
            )
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise ContractError(
            f"{file}: no image layout that can be read: {error}",
            "export it with docker save, or with buildx: type=oci,compression=uncompressed,force-compression=true",
        ) from None
    return Image(config=config, layers=layers)


def compare(left: Image, right: Image, most: int = 10) -> list[Difference]:
    """The differences of the first layer that differs, at most ``most`` of them; else those of the configs."""
    for number, (one, two) in enumerate(zip(left.layers, right.layers, strict=False), 1):
        if one.diff_id != two.diff_id:
            found = list(_compare_layer(number, one, two)) or [
                _difference(number, "", TAR, one.diff_id, two.diff_id),
            ]
            return found[:most]
    if len(left.layers) != len(right.layers):
        number = min(len(left.layers), len(right.layers)) + 1
        counts = (f"{len(image.layers)} layers" for image in (left, right))
        return [_difference(number, "", ONE_ONLY, *counts)]
    return list(_compare_config(left.config, right.config))[:most]


def _compare_layer(number: int, left: Layer, right: Layer) -> Iterator[Difference]:
    for path in sorted({*left.entries, *right.entries}):
        one, two = left.entries.get(path), right.entries.get(path)
        if one is None or two is None:
            yield _difference(number, path, ONE_ONLY, *("there" if side else "absent" for side in (one, two)))
            continue
        for what in PROPERTIES:
            if one[what] != two[what]:
                yield _difference(number, path, what, one[what], two[what])
    common = left.entries.keys() & right.entries.keys()
    orders = [[path for path in layer.entries if path in common] for layer in (left, right)]
    for one_path, two_path in zip(*orders, strict=True):
        if one_path != two_path:
            yield _difference(number, one_path, ORDER, f"/{one_path}", f"/{two_path}")
            break


def _compare_config(left: Mapping[str, Any], right: Mapping[str, Any], path: str = "config") -> Iterator[Difference]:
    for key in sorted({*left, *right}):
        one, two = left.get(key), right.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            yield from _compare_config(one, two, f"{path}.{key}")
        elif one != two:
            yield _difference(0, f"{path}.{key}", CONFIG, json.dumps(one), json.dumps(two))


def _difference(layer: int, path: str, what: str, left: str, right: str) -> Difference:
    causes = (c.text for c in _causes() if c.what.match(what) and c.path.search(path))
    cause = next(causes, "not a known one")
    return Difference(layer=layer, path=path, what=what, left=left, right=right, cause=cause)


@functools.cache
def _causes() -> tuple[_Cause, ...]:
    """The known causes, a file of data beside this module."""
    data = read_toml(Path(__file__).with_name("differences.toml"))
    return tuple(
        _Cause(what=re.compile(c["what"]), path=re.compile(c.get("path", "")), text=c["text"]) for c in data["cause"]
    )


def _first_manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    index = json.load(_open(tar, "index.json"))
    while "manifests" in index:
        # An index may hold attestations beside the image, which name no platform that runs.
        images = [m for m in index["manifests"] if m.get("platform", {}).get("os") != "unknown"]
        index = _json(tar, images[0]["digest"])
    return dict(index)


def _read_layer(tar: tarfile.TarFile, blob: str, diff_id: str) -> Layer:
    with tarfile.open(fileobj=_open(tar, _blob(blob))) as inner:
        return Layer(diff_id=diff_id, entries=dict(_entries(inner)))


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, Mapping[str, str]]]:
    for member in tar:
        content = _digest(cast(IO[bytes], tar.extractfile(member))) if member.isreg() else ""
        attributes = {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")}
        yield (
            member.name.removeprefix("./") + ("/" if member.isdir() else ""),
            {
                "type": _TYPES.get(member.type, repr(member.type)),
                "content": content and f"{member.size} bytes, sha256 {content}",
                "link target": member.linkname,
                "mode": f"{member.mode:04o}",
                "owner": f"{member.uid}:{member.gid}",
                "mtime": str(member.mtime),
                "xattr": json.dumps(attributes, sort_keys=True),
            },
        )


_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
}


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(stream):
        digest.update(chunk)
    return digest.hexdigest()[:16]


def _chunks(stream: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: stream.read(1 << 20), b"")


def _json(tar: tarfile.TarFile, digest: str) -> dict[str, Any]:
    return dict(json.load(_open(tar, _blob(digest))))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    return cast(IO[bytes], tar.extractfile(name))
