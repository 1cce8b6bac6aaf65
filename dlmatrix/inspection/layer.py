"""What is to be known of the files of a layer: a function of the layer alone, whatever image it is a part of."""

from __future__ import annotations

import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, cast

from dlmatrix.inspection.elf import SharedObject, read_shared_object

#: A shared object by its name.
OBJECT = re.compile(r"\.so(\.[0-9.]+)?$")
#: Text files that say something about libraries or about a framework's build.
_TEXTS = re.compile(
    r"/etc/ld\.so\.conf(\.d/[^/]+\.conf)?|.*/torch/version\.py|.*/platform/build_info\.py|.*\.dist-info/RECORD"
)
#: In a program's quotes, after the folders if there are any: what looks like a library, with its ending or
#: without, or with one that is put in (an f-string's brace).
_QUOTED = re.compile(rb"""["'/](lib[\w.+-]+|[\w.+-]+\.so(?:\.[\d.]+)?)["'{]""")
_TEXT_LIMIT = 1 << 24
_CHUNK = 1 << 20
#: How a layer says that what is below it has this path no more, or that nothing below it of this folder is left
#: (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).
_GONE, _EMPTIED = ".wh.", ".wh..wh..opq"


class Entry(NamedTuple):
    """One path of a layer. ``kind`` is f(ile), d(irectory), l(ink), h(ard link) or empty for anything else."""

    kind: str
    #: what a link leads to; a hard link's is absolute
    target: str = ""


@dataclass(kw_only=True)
class Facts:
    """All that the examination of an image asks of one of its layers; every path is absolute."""

    entries: dict[str, Entry] = field(default_factory=dict)
    #: paths that the layer takes out of those below, and folders that it empties
    gone: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    objects: dict[str, SharedObject] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    #: the names of libraries between the quotes of a Python file
    quoted: dict[str, frozenset[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """To be kept."""
        objects = {
            path: {**vars(found), "modules": sorted(found.modules), "names": sorted(found.names)}
            for path, found in self.objects.items()
        }
        quoted = {path: sorted(names) for path, names in self.quoted.items()}
        return {**vars(self), "objects": objects, "quoted": quoted}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Facts:
        """What was kept."""
        return cls(
            entries={path: Entry(*entry) for path, entry in kept["entries"].items()},
            gone=kept["gone"],
            emptied=kept["emptied"],
            objects={path: _object(found) for path, found in kept["objects"].items()},
            texts=kept["texts"],
            quoted={path: frozenset(names) for path, names in kept["quoted"].items()},
        )


def read_layer(stream: BinaryIO) -> Facts:
    """Read a layer, or a whole file system (``docker export``): a tar, once, from front to back."""
    facts = Facts()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
        while member := archive.next():
            _take(facts, archive, member)
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
    return facts


def libraries_named(program: bytes) -> frozenset[str]:
    """The names of libraries between the quotes of a Python file."""
    return frozenset(found.decode("ascii") for found in _QUOTED.findall(program))


def _take(facts: Facts, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    path = posixpath.normpath("/" + member.name)
    folder, name = posixpath.split(path)
    if name == _EMPTIED:
        facts.emptied.append(folder)
    elif name.startswith(_GONE):
        facts.gone.append(posixpath.join(folder, name.removeprefix(_GONE)))
    elif member.issym():
        facts.entries[path] = Entry("l", member.linkname)
    elif member.islnk():
        facts.entries[path] = Entry("h", posixpath.normpath("/" + member.linkname))
    elif member.isfile():
        facts.entries[path] = Entry("f")
        _read(facts, path, cast(BinaryIO, archive.extractfile(member)))
    else:
        facts.entries[path] = Entry("d" if member.isdir() else "")


def _read(facts: Facts, path: str, content: BinaryIO) -> None:
    if _TEXTS.fullmatch(path):
        facts.texts[path] = content.read(_TEXT_LIMIT).decode("utf-8", "replace")
    elif path.endswith(".py"):
        if found := libraries_named(content.read(_TEXT_LIMIT)):
            facts.quoted[path] = found
    elif OBJECT.search(path):
        with tempfile.TemporaryFile() as seekable:  # libraries are gigabytes: not in memory
            shutil.copyfileobj(content, seekable, _CHUNK)
            if wants := read_shared_object(seekable):
                facts.objects[path] = wants


def _object(kept: Mapping[str, Any]) -> SharedObject:
    return SharedObject(
        machine=kept["machine"],
        soname=kept["soname"],
        needed=tuple(kept["needed"]),
        rpath=tuple(kept["rpath"]),
        runpath=tuple(kept["runpath"]),
        modules=frozenset(kept["modules"]),
        names=frozenset(kept["names"]),
    )
