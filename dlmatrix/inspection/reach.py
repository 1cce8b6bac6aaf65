"""Which shared objects of an installation something loads, and what they then ask for in vain.

It starts at the extension modules and the folders that a framework loads whole, follows what each object
needs (DT_NEEDED), and then what is opened by name: the libraries that a program has between quotes, and those
that a library has among its constants. What a process needs stops it where it is missing; what it opens by
name it may go on without.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dlmatrix.inspection.elf import SharedObject
from dlmatrix.inspection.loader import Search

#: What is asked for, and the file that asks.
Question = tuple[str, str]


@dataclass(kw_only=True)
class Reach:
    """What is loaded; every path is below site-packages."""

    search: Search
    objects: Mapping[str, SharedObject]
    #: loaded whenever what imports or needs it is
    firm: set[str] = field(default_factory=set)
    #: opened by name only
    opened: set[str] = field(default_factory=set)
    #: what objects need and the loader does not find
    missing: list[Question] = field(default_factory=list)
    #: what objects name, and no file has the name
    nowhere: list[Question] = field(default_factory=list)
    #: what objects name, and the file outside site-packages that the loader would take
    outside: list[tuple[str, str, str]] = field(default_factory=list)
    _todo: list[str] = field(default_factory=list)
    #: names that a process has loaded something under (DT_SONAME)
    _sonames: set[str] = field(default_factory=set)
    _stems: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.objects:
            self._stems.setdefault(posixpath.basename(path).partition(".so")[0], []).append(path)

    def __contains__(self, path: str) -> bool:
        return path in self.firm or path in self.opened

    def unloaded(self) -> list[str]:
        """The objects that nothing loads, under this path or another that leads to the same file."""
        loaded = {self.search.real(path) for path in self.firm | self.opened}
        return [path for path in self.objects if self.search.real(path) not in loaded]

    def start(self, paths: Iterable[str]) -> None:
        """Load these and all that they need."""
        for path in paths:
            self._take(path, self.firm)
        self._needs(self.firm)

    def open(self, quoted: Iterable[str]) -> None:
        """Load what programs name, and what all that is loaded names, with all that this needs; then settle."""
        for name in quoted:
            self._take_lying(name)
        self._needs(self.opened)
        done: set[str] = set()
        while new := (self.firm | self.opened) - done:
            for path in sorted(new):
                for name in sorted(self.objects[path].names):
                    self._name(name, path)
            self._needs(self.opened)
            done |= new
        self.missing = [(name, by) for name, by in self.missing if not self.has(name)]

    def has(self, soname: str) -> bool:
        """Whether a request finds the name loaded.

        A soname that one object finds is taken as found for all: the loader asks once per process, and
        frameworks load what they share before what shares it.
        """
        return soname in self.search.sonames or soname in self._sonames

    def _needs(self, into: set[str]) -> None:
        while self._todo or self._answer(into):
            path = self._todo.pop()
            wants = self.objects[path]
            for soname in wants.needed:
                found = self.search.find(soname, path, wants)
                if found:
                    self._take(found, into)
                else:
                    self.missing.append((soname, path))

    def _answer(self, into: set[str]) -> bool:
        """Ask again on behalf of what loads: what a loader finds for one may load the next."""
        answered = {q: found for q in self.missing if (found := self.search.find_for_loaders(*q, self.objects))}
        self.missing = [q for q in self.missing if q not in answered]
        for found in answered.values():
            self._take(found, into)
        return bool(self._todo)

    def _take(self, path: str, into: set[str]) -> None:
        if path in self.objects:
            self._sonames.add(self.objects[path].soname)
            if path not in self:
                into.add(path)
                self._todo.append(path)

    def _take_lying(self, name: str) -> bool:
        """Take the files of a name wherever they lie, since a program may build a path itself.

        That one is opened so does not tell that a request for its name will find it.
        """
        alike = self._stems.get(name.partition(".so")[0], ())
        lying = [path for path in alike if ".so." not in name or posixpath.basename(path) == name]
        for path in lying:
            if path not in self:
                self.opened.add(path)
                self._todo.append(path)
        return bool(lying)

    def _name(self, name: str, by: str) -> None:
        wants = self.objects[by]
        # Without a version a library gives it its own before it asks (cuDNN does).
        version = wants.soname.partition(".so")[2] if name.endswith(".so") else ""
        for asked in dict.fromkeys((name + version, name)):
            found = self.search.find(asked, by, wants) or self.search.find_for_loaders(asked, by, self.objects)
            if found:
                self._take(found, self.opened)
                if found not in self.objects:
                    self.outside.append((asked, by, found))
                return
        if not self._take_lying(name):
            self.nowhere.append((name, by))


def is_module(path: str, wants: SharedObject) -> bool:
    """Whether Python can import an object: it initialises a module of its own name (PEP 489)."""
    return posixpath.basename(path).partition(".")[0] in wants.modules
