"""What a guide is, once it is read: its code, where each piece stands, and the words around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Block:
    """A piece of a guide that is set as code.

    ``kind`` is ``code`` (a block), ``inline`` (in a sentence), ``alone`` (inline code that has its line for itself),
    ``cell`` (of a notebook), ``damaged`` (a block whose line breaks are lost), ``elsewhere`` (the name of its file).
    """

    text: str
    language: str
    kind: str
    #: the line of the file that its first line stands on, from 1
    line: int
    #: headings and tabs that it stands under; a tab is written ``{Linux}``
    path: tuple[str, ...] = ()
    #: the words right before it, back to the block before
    lead: str = ""
    #: what a notebook has stored as this cell's output
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide as it was read."""

    file: Path
    text: str
    format: str
    encoding: str
    #: zh or en
    language: str
    blocks: tuple[Block, ...]
    #: all its words that are no code
    prose: str
    #: the day it says it is of, as ``2019-06-30``; empty where it says none
    date: str = ""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A change without which a block could not be read, with what stood there before."""

    line: int
    what: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that the guide's reader is to do.

    ``kind`` is a word of ``classify``; ``why`` says what makes it one that is left out.
    """

    text: str
    kind: str
    line: int
    #: shell, program, repl or cell
    form: str = "shell"
    path: tuple[str, ...] = ()
    why: str = ""
    #: what the guide says that it prints; None where it says nothing
    expected: str | None = None
    #: the name of the file that the guide saves a program as
    file: str = ""
    #: whether what it prints is another in every run
    varies: bool = False
    #: programs of one session share their names
    session: int = 0
    repairs: tuple[Repair, ...] = field(default=())
