"""How the dynamic loader looks for a library, followed in a file system that is not running (ld.so(8))."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dlmatrix.inspection.elf import SharedObject
from dlmatrix.inspection.filesystem import FileSystem
from dlmatrix.inspection.layer import OBJECT

#: Where ld.so looks last, on Debian and elsewhere (ld.so(8)).
_DEFAULTS = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an installation lies."""

    filesystem: FileSystem
    #: absolute inside the file system
    site_packages: str
    #: the image's own, split at colons
    library_path: tuple[str, ...] = ()
    #: the folder that must hold no driver library: ``/`` of an image, site-packages on a machine
    no_driver_below: str = "/"


class Search:
    """Looks for sonames on behalf of the shared objects below site-packages."""

    def __init__(self, place: Place) -> None:
        self._place, self._files = place, place.filesystem
        self.objects = [p for p in self._files.files(place.site_packages) if OBJECT.search(p)]
        self._cache = tuple(_ld_so_conf(self._files, "/etc/ld.so.conf", set()))
        self._found: dict[tuple[str, str], str | None] = {}
        #: file -> the objects whose requests led to it
        self._loaders: dict[str, set[str]] = {}
        #: every soname that a request found
        self.sonames: set[str] = set()

    def find(self, soname: str, by: str, wants: SharedObject) -> str | None:
        """The file that an object's request for a soname leads to."""
        library_path = list(self._place.library_path)
        if wants.runpath:
            folders = [*library_path, *_folders(wants.runpath, by)]
        else:
            folders = [*_folders(wants.rpath, by), *library_path]
        return self._first((*folders, *self._cache, *_DEFAULTS), soname, by, wants.machine)

    def find_for_loaders(self, soname: str, by: str, objects: Mapping[str, SharedObject]) -> str | None:
        """The file that the RPATH of an object's loader, or of that one's loader, leads its request to.

        So the libraries that auditwheel puts beside a wheel find each other.
        """
        if by not in objects or objects[by].runpath:
            return None
        seen, todo = {by}, [by]
        while todo:
            for loader in self._loaders.get(todo.pop(), set()) - seen:
                seen.add(loader)
                todo.append(loader)
                wants = objects.get(loader)
                if wants and not wants.runpath:
                    found = self._first(_folders(wants.rpath, loader), soname, by, wants.machine)
                    if found:
                        return found
        return None

    def real(self, path: str) -> str:
        """The file that a path leads to; the path where it leads nowhere."""
        return self._files.real(path) or path

    def lying_about(self, pattern: str) -> list[str]:
        """The files below site-packages with a name, whether or not the loader would look there."""
        return [path for path in self.objects if fnmatchcase(posixpath.basename(path), pattern)]

    def _first(self, folders: Iterable[str], soname: str, by: str, machine: str) -> str | None:
        found = next((path for folder in folders if (path := self._in(folder, soname, machine))), None)
        if found:
            self._loaders.setdefault(self._files.real(found) or found, set()).add(by)
            self.sonames.add(soname)
        return found

    def _in(self, folder: str, soname: str, machine: str) -> str | None:
        path = posixpath.normpath(posixpath.join(folder, soname))
        if (path, machine) not in self._found:
            there = self._files.shared_object(path)
            self._found[path, machine] = path if there and there.machine == machine else None
        return self._found[path, machine]


def _folders(entries: Iterable[str], by: str) -> list[str]:
    """The folders of an RPATH or RUNPATH; an empty entry means the working directory, so nothing reliable."""
    origin = posixpath.dirname(by)
    return [entry.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for entry in entries if entry]


def _ld_so_conf(files: FileSystem, path: str, seen: set[str]) -> Iterator[str]:
    """The folders that ldconfig put in the loader's cache, in its order (ldconfig(8))."""
    if path in seen:
        return
    seen.add(path)
    for raw in files.text(path).splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("include "):
            for pattern in line.split()[1:]:
                absolute = posixpath.join(posixpath.dirname(path), pattern)
                folder = posixpath.dirname(absolute)
                for file in files.files(folder):
                    if fnmatchcase(file, absolute):
                        yield from _ld_so_conf(files, file, seen)
        elif line:
            yield line
