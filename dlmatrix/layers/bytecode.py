"""The bytecode of an env's sources, compiled at once while the layers that it goes into are already written."""

from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from dlmatrix.errors import BuildError
from dlmatrix.layers.installed import File

#: Lets the env's own interpreter make a tar of bytecode of a tar of sources: docker/compile-bytecode.
Compile = Callable[[IO[bytes], IO[bytes]], None]


#: What the container may name: bytecode, below the folder of the packages.
_BYTECODE = re.compile(r"(?:[^/\0]+/)*[^/\0]+\.pyc")


class Bytecode:
    """That of some groups of files. Nothing of it is kept in memory: sources and bytecode are tars in ``folder``."""

    def __init__(self, groups: Sequence[Sequence[File]], python: str, folder: Path) -> None:
        self._groups, self._packages = groups, f"lib/python{python}/site-packages/"
        self._sources, self._made = folder / "sources.tar", folder / "bytecode.tar"
        #: of each: path, offset of its first byte in the tar, size
        self._places: list[list[tuple[str, int, int]]] = [[] for _ in groups]
        self._ended, self._whole = threading.Event(), False

    def compile(self, compile_all: Compile) -> None:
        """Compile all of it; whoever waits for it goes on, however this ends."""
        try:
            if self._write_sources():
                with self._sources.open("rb") as given, self._made.open("wb") as made:
                    compile_all(given, made)
                self._index()
            self._whole = True
        finally:
            self._ended.set()

    def of(self, number: int) -> Iterator[File]:
        """A group's, by path; waits until it is there."""
        self._ended.wait()
        if not self._whole:
            raise BuildError("the bytecode was not compiled", "the error before this one says why")
        if not (places := sorted(self._places[number])):
            return
        with self._made.open("rb") as tar:
            for path, offset, size in places:
                tar.seek(offset)
                yield File(path=self._packages + path, content=tar.read(size), executable=False)

    def _write_sources(self) -> bool:
        found = False
        with tarfile.open(self._sources, "w") as tar:
            for number, files in enumerate(self._groups):
                for file in files:
                    if not (file.path.startswith(self._packages) and file.path.endswith(".py")):
                        continue
                    text = file.read()
                    member = tarfile.TarInfo(f"{number}/{file.path.removeprefix(self._packages)}")
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text))
                    tar.members.clear()  # type: ignore[attr-defined]  # it would remember them all
                    found = True
        return found

    def _index(self) -> None:
        try:
            with tarfile.open(self._made) as tar:
                while member := tar.next():
                    group, _, path = member.name.partition("/")
                    if not (group.isdecimal() and _BYTECODE.fullmatch(path)) or ".." in path.split("/"):
                        raise ValueError(member.name)
                    self._places[int(group)].append((path, member.offset_data, member.size))
                    tar.members.clear()  # type: ignore[attr-defined]
        except (tarfile.TarError, ValueError, IndexError):
            raise BuildError("the base's Python compiled to no tar", "report this as a bug") from None
