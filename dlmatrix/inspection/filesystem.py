"""A file system to look at without running it: a folder of this machine, or the tar stream of an image."""

from __future__ import annotations

import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from dlmatrix.inspection.elf import SharedObject, read_shared_object

#: Text files that say something about libraries or about a framework's build.
_TEXTS = re.compile(
    r"/etc/ld\.so\.conf(\.d/[^/]+\.conf)?|.*/torch/version\.py|.*/platform/build_info\.py|.*\.dist-info/RECORD"
)
#: In a program's quotes, after the folders if there are any: what looks like a library, with its ending or
#: without, or with one that is put in (an f-string's brace).
_QUOTED = re.compile(rb"""["'/](lib[\w.+-]+|[\w.+-]+\.so(?:\.[\d.]+)?)["'{]""")
#: A shared object by its name.
OBJECT = re.compile(r"\.so(\.[0-9.]+)?$")
_TEXT_LIMIT = 1 << 24
_CHUNK = 1 << 20
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
        return _quoted(self._at(real).read_bytes()) if real else frozenset()

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _link(self, path: str) -> str | None:
        at = self._at(path)
        return str(at.readlink()) if at.is_symlink() else None


class Archive:
    """A tar stream, read once from front to back (``docker export``); nothing of it is kept but facts."""

    def __init__(self, stream: BinaryIO) -> None:
        self._files: set[str] = set()
        self._links: dict[str, str] = {}
        self._objects: dict[str, SharedObject] = {}
        self._texts: dict[str, str] = {}
        self._quoted: dict[str, frozenset[str]] = {}
        with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
            for member in archive:
                self._take(archive, member)

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = posixpath.normpath("/" + member.name)
        if member.issym():
            self._links[path] = member.linkname
        elif member.islnk():
            self._links[path] = posixpath.normpath("/" + member.linkname)
        elif member.isfile():
            self._files.add(path)
            content = archive.extractfile(member)
            if content is None:
                return
            if _TEXTS.fullmatch(path):
                self._texts[path] = content.read(_TEXT_LIMIT).decode("utf-8", "replace")
            elif path.endswith(".py"):
                self._quoted[path] = _quoted(content.read(_TEXT_LIMIT))
            elif OBJECT.search(path):
                with tempfile.TemporaryFile() as seekable:  # libraries are gigabytes: not in memory
                    shutil.copyfileobj(content, seekable, _CHUNK)
                    if found := read_shared_object(seekable):
                        self._objects[path] = found

    def files(self, below: str) -> Iterator[str]:
        """Every file and link under a folder, in order."""
        prefix = below.rstrip("/") + "/"
        return iter(sorted(p for p in {*self._files, *self._links} if p.startswith(prefix)))

    def real(self, path: str) -> str | None:
        """Follow links inside the archive."""
        return _follow(path, self._links.get, self._files.__contains__)

    def shared_object(self, path: str) -> SharedObject | None:
        """What was read in passing."""
        return self._objects.get(self.real(path) or "")

    def text(self, path: str) -> str:
        """What was read in passing."""
        return self._texts.get(self.real(path) or "", "")

    def quoted(self, path: str) -> frozenset[str]:
        """What was read in passing."""
        return self._quoted.get(self.real(path) or "", frozenset())


def _quoted(program: bytes) -> frozenset[str]:
    return frozenset(found.decode("ascii") for found in _QUOTED.findall(program))


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
