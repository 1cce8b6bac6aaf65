"""Opens a bundle, and hands out what it holds once it is verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from dlmatrix.bundle import archive
from dlmatrix.bundle.manifest import Manifest, Member, read_manifest
from dlmatrix.bundle.volumes import Joined
from dlmatrix.errors import BundleError

#: Told the bytes that were read so far, and of how many.
Progress = Callable[[int, int], None]


class Bundle:
    """One bundle. Opening it verifies its manifest and its form; its members are verified as they are read."""

    def __init__(self, file: Path) -> None:
        self._bytes = Joined(file)
        self.name = self._bytes.name
        try:
            self.manifest, self.signed = self._open()
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bytes.close()

    @property
    def size(self) -> int:
        """Bytes, all volumes together."""
        return self._bytes.size

    @property
    def main(self) -> str:
        """The env of its main job: the first that was named when it was made."""
        return self.manifest.versions.get("main") or next(iter(self.manifest.envs), "")

    def _open(self) -> tuple[Manifest, bytes]:
        """The manifest and its bytes."""
        end = self._bytes.read(max(0, self.size - 22), 22)
        tail = archive.tail_size(end, self.size, self.name)
        files = archive.read_tail(self._bytes.read(self.size - tail, tail), self.name)
        data = files.pop(archive.INSIDE)
        manifest = read_manifest(data, self.name)
        found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if found != dict(manifest.start):
            raise BundleError(f"{self.name}: what `python3 FILE` would run is not what its manifest names")
        wanted = sum(archive.extent(member) for member in manifest.members) + len(archive.END)
        if wanted != self.size - tail:
            raise BundleError(
                f"{self.name}: its members take {self.size - tail:,} bytes, and its manifest declares {wanted:,}"
            )
        return manifest, data

    def members(self, progress: Progress = lambda done, all_of: None) -> Iterator[tuple[Member, Iterator[bytes]]]:
        """Each member with its bytes, which must be read before the next; raises BundleError where they are not its.

        Whoever writes them somewhere uses nothing of it before the iteration has come to its end.
        """
        offset = 0
        for member in self.manifest.members:
            wanted = archive.header(member)
            if (found := self._bytes.read(offset, len(wanted))) != wanted:
                what = archive.other_kind(found)
                raise BundleError(f"{self.name}: in the place of its member {member.path!r} stands {what}")
            yield member, self._verified(member, offset + len(wanted), progress)
            offset += archive.extent(member)
            fill = archive.padding(member)
            if self._bytes.read(offset - len(fill), len(fill)) != fill:
                raise BundleError(f"{self.name}: something stands behind its member {member.path!r}")
        if self._bytes.read(offset, len(archive.END)) != archive.END:
            raise BundleError(f"{self.name}: something stands behind its last member")

    def _verified(self, member: Member, offset: int, progress: Progress) -> Iterator[bytes]:
        digest, done = hashlib.sha256(), 0
        for piece in self._bytes.pieces(offset, member.size):
            digest.update(piece)
            done += len(piece)
            yield piece
            progress(offset + done, self.size)
        if done != member.size or digest.hexdigest() != member.sha256:
            raise BundleError(
                f"{self.name}: its member {member.path!r} is damaged: it has not the sha256 in the manifest"
            )

    def verify(self, progress: Progress = lambda done, all_of: None) -> None:
        """Read every byte, and raise BundleError for the first that is not what it must be."""
        for _, pieces in self.members(progress):
            for _ in pieces:
                pass
