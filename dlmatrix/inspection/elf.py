"""What a shared object asks the dynamic loader for, and what it may ask for by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

#: Longer than any name of a library seen; keeps the search for a name's beginning short.
_LONGEST = 100
_ENDS = re.compile(rb"\.so(?:\.\d+)*\0")
_LIBRARY = re.compile(rb"[\w.+-]+")
_MODULE = re.compile(rb"\0PyInit_(\w+)(?=\0)")


@dataclass(frozen=True, kw_only=True)
class SharedObject:
    """What one file says; ``rpath`` and ``runpath`` are the folders as they are written there."""

    machine: str
    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    #: the Python modules that it can be imported as
    modules: frozenset[str] = frozenset()
    #: names of libraries among its constants: what it may give to dlopen
    names: frozenset[str] = frozenset()


def read_shared_object(stream: BinaryIO) -> SharedObject | None:
    """Read an open, seekable file; None for one that is no ELF file or has no dynamic section."""
    try:
        return _read(stream)
    except (ELFError, UnicodeDecodeError, ValueError):  # a linker script, a text, or a truncated file
        return None


def _read(stream: BinaryIO) -> SharedObject | None:
    elf = ELFFile(stream)
    dynamic = next((s for s in elf.iter_segments() if isinstance(s, DynamicSegment)), None)
    if dynamic is None:
        return None
    needed: list[str] = []
    soname = ""
    paths: dict[str, tuple[str, ...]] = {}
    strings = 0
    tag: Any  # the attribute's name is the tag's
    for tag in dynamic.iter_tags():
        if tag.entry.d_tag == "DT_NEEDED":
            needed.append(tag.needed)
        elif tag.entry.d_tag == "DT_SONAME":
            soname = tag.soname
        elif tag.entry.d_tag == "DT_RPATH":
            paths["rpath"] = tuple(tag.rpath.split(":"))
        elif tag.entry.d_tag == "DT_RUNPATH":
            paths["runpath"] = tuple(tag.runpath.split(":"))
        elif tag.entry.d_tag == "DT_STRSZ":
            strings = tag.entry.d_val
    _, at = dynamic.get_table_offset("DT_STRTAB")
    constants = elf.get_section_by_name(".rodata")
    text = _content(elf, constants["sh_offset"], constants["sh_size"]) if constants else b""
    return SharedObject(
        machine=elf["e_machine"],
        soname=soname,
        needed=tuple(needed),
        rpath=paths.get("rpath", ()),
        runpath=paths.get("runpath", ()),
        modules=frozenset(found[1].decode("ascii") for found in _MODULE.finditer(_content(elf, at, strings))),
        names=frozenset(_names(text)),
    )


def _content(elf: ELFFile, at: int | None, size: int) -> bytes:
    """A part of the file, however much of it is there: what a header says of sizes is not to be relied on."""
    if at is None or at >= elf.stream_len:
        return b""
    elf.stream.seek(at)
    return bytes(elf.stream.read(min(size, elf.stream_len - at)))


def _names(data: bytes) -> Iterator[str]:
    """Each constant that is the name or the path of a library and nothing more; the name of either."""
    for end in _ENDS.finditer(data):
        first = max(0, end.start() - _LONGEST)
        start = max(data.rfind(before, first, end.start()) for before in (b"\0", b"/"))
        name = data[start + 1 : end.end() - 1]
        if (start >= 0 or first == 0) and _LIBRARY.fullmatch(name):
            yield name.decode("ascii")
