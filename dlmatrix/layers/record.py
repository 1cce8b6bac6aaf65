"""RECORD: the list, in a wheel and where it is installed, of what a distribution brings. It is somebody else's text."""

from __future__ import annotations

import csv
import io


def record_rows(text: str) -> list[list[str]]:
    """The rows that name a path: that, a digest and a size, where they are there.

    Raises ValueError for what cannot be such a list.
    """
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row and row[0]]
    except csv.Error as error:
        raise ValueError(str(error)) from None
