"""What a machine is to do, and what it needs for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that a machine needs and may have already: a tar, whose SHA-256 is its key."""

    #: in words: code, tools, wheels
    what: str
    key: str
    file: Path

    @property
    def size(self) -> int:
        """Bytes that move to a machine which lacks it."""
        return self.file.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Order:
    """The command of the checks there; {python}, {base} and {folder} in it are filled in there."""

    command: Sequence[str]
    #: seconds after which they are ended
    limit: float
    parts: Sequence[Part] = ()
