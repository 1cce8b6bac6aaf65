"""Writes a bundle, in one pass and with as much memory for a large one as for a small one."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dlmatrix
from dlmatrix.bundle import archive
from dlmatrix.bundle.contents import Source
from dlmatrix.bundle.manifest import Manifest, Member, check_members
from dlmatrix.bundle.reader import Progress
from dlmatrix.bundle.volumes import PIECE, Output
from dlmatrix.errors import BuildError, DiskFullError, UsageError
from dlmatrix.system.sources import reached

_PACKAGE = Path(dlmatrix.__file__).parent
_MAIN = b"""\
import sys

if sys.version_info < (3, 10):
    sys.exit("dlmatrix: this needs Python 3.10 or newer, and is Python %d.%d" % sys.version_info[:2])
from dlmatrix.bundle.start import main

sys.exit(main(sys.argv[0], sys.argv[1:]))
"""
#: The smallest volume: the manifest and what is run must fit into one.
SMALLEST = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Written:
    """A bundle that was written."""

    files: tuple[Path, ...]
    manifest: bytes
    size: int
    #: bytes that an earlier, interrupted try had written already
    kept: int


def starter() -> dict[str, bytes]:
    """What ``python3 FILE`` runs: a main program, and the modules of this package that it imports."""
    files = {f"dlmatrix/{file.relative_to(_PACKAGE).as_posix()}": file.read_bytes() for file in _modules()}
    return {"__main__.py": _MAIN, **files}


def _modules() -> Iterator[Path]:
    found = {file for file in reached(["dlmatrix.bundle.start"]) if file.suffix == ".py"}
    yield from sorted(found | {file.parent / "__init__.py" for file in found} | {_PACKAGE / "__init__.py"})


def write_bundle(
    file: Path,
    sources: Iterable[Source],
    manifest: Manifest,
    *,
    volume: int | None,
    about: int,
    progress: Progress,
) -> Written:
    """Write ``sources`` in the order of their paths, then the manifest that ``manifest`` begins.

    Args:
        volume: bytes of a volume; None: one file.
        about: bytes that are expected, for progress and to see that there is room.
    """
    if volume is not None and volume < SMALLEST:
        raise UsageError(f"a volume of {volume:,} bytes is too small", f"--volume {SMALLEST // 1_000_000 + 1}")
    for there in (file, file.with_name(f"{file.name}.001")):
        if there.exists():
            raise UsageError(f"{there}: is there already", "remove it, or name another file with --out")
    with Output(file, volume) as output:
        _room(file, about - output.there)
        members = []
        for source in sources:
            members.append(_add(output, source))
            progress(output.written, about)
        start = starter()
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in start.items()}
        whole = Manifest(envs=manifest.envs, versions=manifest.versions, members=tuple(members), start=sums)
        check_members(whole.members, str(file))
        text = whole.text()
        output.write(archive.END)
        output.write_whole(archive.make_tail({**start, archive.INSIDE: text}))
        files = output.finish()
    return Written(files=tuple(files), manifest=text, size=output.written, kept=output.kept)


def _add(output: Output, source: Source) -> Member:
    """Write one member; its sha256 is known behind it, which is why the manifest stands at the end."""
    member = Member(path=source.path, size=source.size, sha256="", origin=source.origin, executable=source.executable)
    output.write(archive.header(member))
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(source):
        size += len(piece)
        if size > source.size:
            break
        digest.update(piece)
        output.write(piece)
    found = digest.hexdigest()
    if size != source.size or (source.sha256 and found != source.sha256):
        raise BuildError(f"{source.path}: changed while the bundle was made", "run it again")
    output.write(archive.padding(member))
    return replace(member, sha256=found)


def _pieces(source: Source) -> Iterator[bytes]:
    if isinstance(source.content, bytes):
        yield source.content
    elif isinstance(source.content, Path):
        with source.content.open("rb", buffering=0) as stream:
            while piece := stream.read(PIECE):
                yield piece
    else:
        yield from source.content


def _room(file: Path, needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise DiskFullError(
            f"{file.parent}: {needed / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free",
            "free some space, or name a file on another disk with --out",
        )


def in_order(sources: Iterable[Source]) -> list[Source]:
    """The order of members: that of their paths."""
    return sorted(sources, key=lambda source: source.path)
