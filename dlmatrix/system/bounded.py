"""What is kept of an output that may have no end: a framework can write gigabytes, and a run must outlive that."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

#: Bytes that a document may have. The largest seen has 200,000, and a report of many must still be read.
DOCUMENT = 8 << 20
#: Bytes that are kept of an output: more than any document, and an inventory of thousands of machines.
_OUTPUT = 64 << 20
#: Bytes that a line may have; a longer one is told in pieces.
LINE = 1 << 16
#: Characters that are kept of the first lines, and as many of the last.
_LINES = 4 << 20


class Lines:
    """The first and the last lines of an output; between them one that says how many are missing."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._last: deque[str] = deque()
        self._sizes = [0, 0]
        self._missing = 0

    def append(self, line: str) -> None:
        """Keep a line, for as long as there is room."""
        size = len(line) + 1
        if not self._last and self._sizes[0] + size <= _LINES:
            self._first.append(line)
            self._sizes[0] += size
            return
        self._last.append(line)
        self._sizes[1] += size
        while self._sizes[1] > _LINES:
            self._sizes[1] -= len(self._last.popleft()) + 1
            self._missing += 1

    def __iter__(self) -> Iterator[str]:
        yield from self._first
        if self._missing:
            yield f"[{self._missing} lines are left out here]"
        yield from self._last


class Pieces:
    """The bytes of an output; of one without end, as many as show that it has none."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def append(self, piece: bytes) -> None:
        """Keep a piece, or let it go."""
        if self._size <= _OUTPUT:
            self._pieces.append(piece)
            self._size += len(piece)

    def whole(self) -> bytes:
        """All that was kept."""
        return b"".join(self._pieces)
