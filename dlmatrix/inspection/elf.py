"""What a shared object asks the dynamic loader for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile


@dataclass(frozen=True, kw_only=True)
class SharedObject:
    """The dynamic section of one file; ``rpath`` and ``runpath`` are the folders as they are written there."""

    machine: str
    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]


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
    return SharedObject(
        machine=elf["e_machine"],
        soname=soname,
        needed=tuple(needed),
        rpath=paths.get("rpath", ()),
        runpath=paths.get("runpath", ()),
    )
