"""The bytes of a bundle around its members: a tar, and behind it a small zip that Python can run.

``python3 FILE`` reads a zip from the end of a file, and what stands before the zip may be of any length, on every
Python. Members in the zip itself could not be: Python's importer reads no zip of more than 4 GiB before 3.13. ``tar``
reads the same file, since a tar ends before its file does.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping

from dlmatrix.bundle.manifest import LONGEST, Member
from dlmatrix.errors import BundleError

BLOCK = 512
#: What ends a tar.
END = bytes(2 * BLOCK)
#: The manifest's name in the zip.
INSIDE = "manifest.json"
#: Bytes that the zip may have: the manifest, and what is run.
TAIL = LONGEST + (4 << 20)
_RECORD = 22
#: Of every member, so that the time of making a bundle is not in it: 14 November 2023.
_TIME, _DATE = 1_700_000_000, (2023, 11, 14, 0, 0, 0)
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device node",
    tarfile.BLKTYPE: "a device node",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.DIRTYPE: "a folder",
}


def header(member: Member) -> bytes:
    """The tar header of a member; it says nothing that the manifest does not."""
    info = tarfile.TarInfo(member.path)
    info.size, info.mtime, info.mode = member.size, _TIME, 0o755 if member.executable else 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def padding(member: Member) -> bytes:
    """What fills a member up to a whole block."""
    return bytes(-member.size % BLOCK)


def extent(member: Member) -> int:
    """The bytes that a member takes in a bundle."""
    return len(header(member)) + member.size + len(padding(member))


def other_kind(found: bytes) -> str:
    """What a header that is not a member's says instead, in words."""
    try:
        info = tarfile.TarInfo.frombuf(found[-BLOCK:], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return "no header of a tar"
    if info.type in _KINDS:
        return f"{_KINDS[info.type]}, {info.name[:80]!r}"
    return f"{info.name[:80]!r} of {info.size:,} bytes"


def make_tail(files: Mapping[str, bytes]) -> bytes:
    """The zip that ends a bundle: nothing in it is compressed, so that its bytes are those of every zlib."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as tail:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16
            tail.writestr(info, files[name])
    return made.getvalue()


def tail_size(end: bytes, size: int, name: str) -> int:
    """The bytes of the zip in a file of ``size`` bytes, whose last 22 are ``end``. Raises BundleError for none."""
    if len(end) != _RECORD or end[:4] != b"PK\x05\x06" or end[20:] != b"\0\0":
        raise BundleError(
            f"{name}: this is no whole bundle: its end is missing, or something stands behind it",
            "copy it once more, and compare the sha256sum of both",
        )
    found = int.from_bytes(end[12:16], "little") + int.from_bytes(end[16:20], "little") + _RECORD
    if found > TAIL:
        raise BundleError(f"{name}: its manifest would have {found:,} bytes, and none has more than {LONGEST:,}")
    if found > size:
        raise BundleError(f"{name}: this is no whole bundle: its beginning is missing")
    return found


def read_tail(data: bytes, name: str) -> dict[str, bytes]:
    """The files in the zip. Raises BundleError where it is not, byte by byte, as ``make_tail`` writes one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as tail:
            infos = tail.infolist()
            if sum(info.file_size for info in infos) > len(data):
                raise BundleError(f"{name}: its manifest unpacks to more than it takes: a bomb")
            files = {info.filename: tail.read(info) for info in infos}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BundleError(f"{name}: its end is damaged: {error}", "copy it once more") from None
    if INSIDE not in files:
        raise BundleError(f"{name}: it has no manifest")
    if len(files) != len(infos) or make_tail(files) != data:
        raise BundleError(f"{name}: the directory at its end and what it lists disagree")
    return files
