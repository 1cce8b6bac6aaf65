"""Where an engine has put an env, as a file system to look at without running anything in it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from dlmatrix.inspection.closure import site_packages
from dlmatrix.inspection.filesystem import Archive, Folder
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.plan import Plan


def image_place(plan: Plan, export: Iterable[bytes], environment: Iterable[str]) -> Place:
    """An image, from the tar stream of a container's file system and the image's ``NAME=value`` variables."""
    variables = dict(item.partition("=")[::2] for item in environment)
    with io.BufferedReader(_Chunks(iter(export)), 1 << 20) as stream:
        return Place(
            filesystem=Archive(stream),
            site_packages=site_packages(plan.env.python),
            library_path=tuple(filter(None, variables.get("LD_LIBRARY_PATH", "").split(":"))),
        )


def venv_place(plan: Plan, folder: Path) -> Place:
    """A virtual environment of this machine, whose own libraries it uses; a driver may be among those."""
    below = site_packages(plan.env.python, str(folder.resolve()))
    return Place(filesystem=Folder(Path("/")), site_packages=below, no_driver_below=below)


class _Chunks(io.RawIOBase):
    """A stream that is read as its pieces arrive."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from the next piece; 0 at the end."""
        while not self._rest:
            piece = next(self._chunks, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
