"""Bundles as nobody should make them: written without any of the checks of dlmatrix.bundle.write."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlmatrix.bundle import archive
from dlmatrix.bundle.manifest import Manifest, Member

#: What a small sound bundle holds.
FILES = {"README.md": b"read me\n" * 99, "bundle/wheels/one-1.whl": b"1" * 2000, "bundle/wheels/two-2.whl": b"2" * 2000}
MAIN = {"__main__.py": b"print('started')\n"}


def members(files: Mapping[str, bytes]) -> tuple[Member, ...]:
    return tuple(
        Member(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), origin="test")
        for path, data in files.items()
    )


def manifest(listed: Sequence[Member], start: Mapping[str, bytes] = MAIN) -> Manifest:
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in start.items()}
    return Manifest(envs={"cpu-x-1": {"lock": "0"}}, versions={"dlmatrix": "1"}, members=tuple(listed), start=sums)


def body(listed: Sequence[Member], contents: Sequence[bytes], headers: Mapping[int, bytes] | None = None) -> bytes:
    made = b""
    for number, (member, data) in enumerate(zip(listed, contents, strict=True)):
        made += (headers or {}).get(number) or archive.header(member)
        made += data + bytes(-len(data) % archive.BLOCK)
    return made + archive.END


def sound(files: Mapping[str, bytes] = FILES) -> bytes:
    listed = members(files)
    return body(listed, list(files.values())) + tail(manifest(listed).text())


def tail(text: bytes, start: Mapping[str, bytes] = MAIN) -> bytes:
    return archive.make_tail({**start, archive.INSIDE: text})


def with_manifest(change: Callable[[dict[str, Any]], None], files: Mapping[str, bytes] = FILES) -> bytes:
    """A bundle whose manifest was changed, and everything else is as that wants it."""
    listed = members(files)
    found = json.loads(manifest(listed).text())
    change(found)
    text = (json.dumps(found, indent=0, sort_keys=True) + "\n").encode()
    return body(listed, list(files.values())) + tail(text)


def with_paths(*paths: str) -> bytes:
    """A bundle of members with these paths, whatever they are."""
    files = [b"x" * number for number in range(1, len(paths) + 1)]
    listed = [
        Member(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), origin="test")
        for path, data in zip(paths, files, strict=True)
    ]
    headers = {number: tarfile.TarInfo("x").tobuf() for number in range(len(paths))}
    return body(listed, files, headers) + tail(manifest(listed).text())


def with_header(kind: bytes, link: str = "") -> bytes:
    """A bundle one of whose members is, in the tar, something else than a file."""
    listed = members(FILES)
    info = tarfile.TarInfo(listed[1].path)
    info.type, info.linkname, info.size = kind, link, listed[1].size
    return body(listed, list(FILES.values()), {1: info.tobuf(tarfile.GNU_FORMAT)}) + tail(manifest(listed).text())


def with_zip(make: Callable[[zipfile.ZipFile, bytes], None]) -> bytes:
    """A bundle whose end is another zip of the same manifest."""
    listed = members(FILES)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        make(packed, manifest(listed).text())
    return body(listed, list(FILES.values())) + made.getvalue()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
