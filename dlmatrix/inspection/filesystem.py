"""A file system to look at without running it: a folder of this machine, or the layers of an image."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from dlmatrix.inspection.elf import SharedObject, read_shared_object
from dlmatrix.inspection.layer import Entry, Facts, Suspect, libraries_named

_LINK_LIMIT = 40


class FileSystem(Protocol):
    """Absolute POSIX paths in; symbolic links are followed inside the file system."""

    def files(self, below: str) -> Iterator[str]:
        """Every path of a file or of a link under a folder."""

    def real(self, path: str) -> str | None:
        """The path of the regular file that ``path`` leads to, or None."""

    def shared_object(self, path: str) -> SharedObject | None:
        """The dynamic section of a file, or None where it has none."""

    def text(self, path: str) -> str:
        """A small text file's content; empty where it does not exist."""

    def quoted(self, path: str) -> frozenset[str]:
        """The names of libraries between the quotes of a Python file."""


class Folder:
    """A folder of this machine as the root of a file system (``/`` for a virtual environment)."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def files(self, below: str) -> Iterator[str]:
        """Every file under a folder, in order."""
        for path in sorted(self._at(below).rglob("*")):
            if path.is_symlink() or path.is_file():
                yield "/" + path.relative_to(self._root).as_posix()

    def real(self, path: str) -> str | None:
        """Follow links; those that are absolute start at the root."""
        return _follow(path, self._link, lambda p: self._at(p).is_file())

    def shared_object(self, path: str) -> SharedObject | None:
        """Read a file's dynamic section."""
        real = self.real(path)
        if real is None:
            return None
        with self._at(real).open("rb") as file:
            return read_shared_object(file)

    def text(self, path: str) -> str:
        """Read a text file."""
        real = self.real(path)
        return self._at(real).read_text("utf-8", "replace") if real else ""

    def quoted(self, path: str) -> frozenset[str]:
        """Read a Python file's."""
        real = self.real(path)
        return libraries_named(self._at(real).read_bytes()) if real else frozenset()

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _link(self, path: str) -> str | None:
        at = self._at(path)
        return str(at.readlink()) if at.is_symlink() else None


class Stacked:
    """The file system that layers make, the lowest first: a later one's paths take the place of an earlier one's.

    Each layer names the folders that its files are in, as those of Docker, BuildKit and ``dlmatrix/layers/`` do.
    """

    def __init__(self, layers: Iterable[Facts]) -> None:
        #: each path: the layer that it is of, and what it is called there
        self._at: dict[str, tuple[Facts, str]] = {}
        for facts in layers:
            self._put(facts)

    def _put(self, facts: Facts) -> None:
        places: dict[str, str] = {}  # of folders: their paths may lead through links of the layers below

        def place(path: str) -> str:
            folder, name = posixpath.split(path)
            if folder not in places:
                places[folder] = _follow(folder, self._link, lambda _: True) or folder
            return posixpath.join(places[folder], name)

        for path in map(place, facts.gone):
            self._at.pop(path, None)
            self._clear(path)
        for path in facts.emptied:
            self._clear(place(path))
        for path, entry in facts.entries.items():
            here = place(path)
            if entry.kind != "d" and self._kind(here) == "d":
                self._clear(here)
            self._at[here] = facts, path

    def _clear(self, folder: str) -> None:
        below = folder.rstrip("/") + "/"
        for path in [path for path in self._at if path.startswith(below)]:
            del self._at[path]

    def entries(self) -> dict[str, Entry]:
        """Every path of the image."""
        return {path: facts.entries[there] for path, (facts, there) in self._at.items()}

    def suspects(self) -> dict[str, Suspect]:
        """The text files that hold what no image may."""
        found = ((path, facts.suspects.get(there)) for path, (facts, there) in self._at.items())
        return {path: suspect for path, suspect in found if suspect}

    def files(self, below: str) -> Iterator[str]:
        """Every file and link under a folder, in order."""
        prefix = below.rstrip("/") + "/"
        return iter(
            sorted(path for path in self._at if path.startswith(prefix) and self._kind(path) in ("f", "l", "h"))
        )

    def real(self, path: str) -> str | None:
        """Follow links inside the image."""
        return _follow(path, self._link, lambda path: self._kind(path) == "f")

    def shared_object(self, path: str) -> SharedObject | None:
        """What was read of its layer."""
        facts, there = self._read(path)
        return facts.objects.get(there)

    def text(self, path: str) -> str:
        """What was read of its layer."""
        facts, there = self._read(path)
        return facts.texts.get(there, "")

    def quoted(self, path: str) -> frozenset[str]:
        """What was read of its layer."""
        facts, there = self._read(path)
        return facts.quoted.get(there, frozenset())

    def _read(self, path: str) -> tuple[Facts, str]:
        return self._at.get(self.real(path) or "", (Facts(), ""))

    def _entry(self, path: str) -> Entry:
        facts, there = self._at.get(path, (None, ""))
        return facts.entries[there] if facts else Entry("")

    def _kind(self, path: str) -> str:
        return self._entry(path).kind

    def _link(self, path: str) -> str | None:
        return self._entry(path).target or None


def _follow(path: str, link: Callable[[str], str | None], is_file: Callable[[str], bool]) -> str | None:
    """Resolve every link on the way, as the kernel does, without leaving the file system."""
    done, todo, links = "/", [part for part in path.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        here = posixpath.normpath(posixpath.join(done, part))
        target = link(here)
        if target is None:
            done = here
            continue
        links += 1
        if links > _LINK_LIMIT:
            return None
        todo = [piece for piece in target.split("/") if piece] + todo
        done = "/" if target.startswith("/") else done
    return done if is_file(done) else None
