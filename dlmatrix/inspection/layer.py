"""What is to be known of the files of a layer: a function of the layer alone, whatever image it is a part of."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple, cast

from dlmatrix.inspection.elf import SharedObject, read_shared_object
from dlmatrix.inspection.private import Private

#: A shared object by its name.
OBJECT = re.compile(r"\.so(\.[0-9.]+)?$")
#: Text files that say something about packages, libraries or a framework's build.
_TEXTS = re.compile(
    r"/etc/ld\.so\.conf(\.d/[^/]+\.conf)?|.*/torch/version\.py|.*/platform/build_info\.py|.*\.dist-info/RECORD"
    r"|/var/lib/dpkg/status"
)
#: Where text files lie that no Debian package brings.
_SEARCHED = re.compile(r"/(opt|srv|etc|home|root|usr/local|var)/")
#: Bytes at a file's beginning by which it is a text, or none: grep looks at as many.
_HEAD = 1 << 15
#: In a program's quotes, after the folders if there are any: what looks like a library, with its ending or
#: without, or with one that is put in (an f-string's brace).
_QUOTED = re.compile(rb"""["'/](lib[\w.+-]+|[\w.+-]+\.so(?:\.[\d.]+)?)["'{]""")
_TEXT_LIMIT = 1 << 24
_CHUNK = 1 << 20
#: How a layer says that what is below it has this path no more, or that nothing below it of this folder is left
#: (https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts).
_GONE, _EMPTIED = ".wh.", ".wh..wh..opq"
_KINDS: Mapping[str, Callable[[tarfile.TarInfo], bool]] = {
    "f": tarfile.TarInfo.isfile,
    "d": tarfile.TarInfo.isdir,
    "l": tarfile.TarInfo.issym,
    "h": tarfile.TarInfo.islnk,
}


class Entry(NamedTuple):
    """One path of a layer. ``kind`` is f(ile), d(irectory), l(ink), h(ard link) or empty for anything else."""

    kind: str
    mode: int = 0
    #: user and group, as numbers
    owner: str = "0:0"
    #: bytes of a file; a hard link has none of its own
    size: int = 0
    #: what a link leads to; a hard link's is absolute
    target: str = ""


class Suspect(NamedTuple):
    """A text file that holds what no image may: its digest as a RECORD writes it, and what (``private.py``)."""

    digest: str
    holds: list[str]


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
    suspects: dict[str, Suspect] = field(default_factory=dict)

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
            suspects={path: Suspect(*found) for path, found in kept["suspects"].items()},
        )


def read_layer(stream: BinaryIO, private: Private) -> Facts:
    """Read a layer, or a whole file system (``docker export``): a tar, once, from front to back."""
    facts = Facts()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_CHUNK) as archive:
        while member := archive.next():
            _take(facts, archive, member, private)
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
    return facts


def libraries_named(program: bytes) -> frozenset[str]:
    """The names of libraries between the quotes of a Python file."""
    return frozenset(found.decode("ascii") for found in _QUOTED.findall(program))


def _take(facts: Facts, archive: tarfile.TarFile, member: tarfile.TarInfo, private: Private) -> None:
    path = posixpath.normpath("/" + member.name)
    folder, name = posixpath.split(path)
    if name == _EMPTIED:
        facts.emptied.append(folder)
    elif name.startswith(_GONE):
        facts.gone.append(posixpath.join(folder, name.removeprefix(_GONE)))
    else:
        kind = next((kind for kind, of_kind in _KINDS.items() if of_kind(member)), "")
        target = posixpath.normpath("/" + member.linkname) if kind == "h" else member.linkname
        size = member.size if kind == "f" else 0
        facts.entries[path] = Entry(kind, member.mode & 0o7777, f"{member.uid}:{member.gid}", size, target)
        if kind == "f":
            _read(facts, path, cast(BinaryIO, archive.extractfile(member)), private)


def _read(facts: Facts, path: str, content: BinaryIO, private: Private) -> None:
    head = content.read(_HEAD)
    if b"\0" not in head:
        _read_text(facts, path, head + content.read(_TEXT_LIMIT), content, private)
    elif OBJECT.search(path):
        with tempfile.TemporaryFile() as seekable:  # libraries are gigabytes: not in memory
            seekable.write(head)
            shutil.copyfileobj(content, seekable, _CHUNK)
            if wants := read_shared_object(seekable):
                facts.objects[path] = wants


def _read_text(facts: Facts, path: str, text: bytes, more: BinaryIO, private: Private) -> None:
    if _TEXTS.fullmatch(path):
        facts.texts[path] = text.decode("utf-8", "replace")
    elif path.endswith(".py") and (names := libraries_named(text)):
        facts.quoted[path] = names
    if _SEARCHED.match(path):
        digest, holds = hashlib.sha256(text), private.in_text(text)
        while piece := more.read(_TEXT_LIMIT):
            text = text[-_HEAD:] + piece  # what is searched for may lie across two
            digest.update(piece)
            holds |= private.in_text(text)
        if holds:
            said = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            facts.suspects[path] = Suspect(said, sorted(holds))


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
