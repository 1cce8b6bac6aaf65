"""What the suite leaves: transcript.txt as it goes, then outcomes.json, doctor.json and table.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dlmatrix.system.files import replace
from tests.gpu.faults import Row

OUTCOMES = "outcomes.json"


class Transcript:
    """Says what happens to the terminal and to transcript.txt; the doctor's documents are kept for the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream = (folder / "transcript.txt").open("a", encoding="utf-8")
        self._documents: dict[str, Any] = {}

    def __enter__(self) -> Transcript:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def say(self, line: str) -> None:
        """To both."""
        print(line, flush=True)
        self.note(line)

    def note(self, line: str) -> None:
        """To the file alone."""
        self._stream.write(line + "\n")
        self._stream.flush()

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Keep what the doctor answered to a fault."""
        self._documents[name] = document
        for cause in (*document["causes"], *document["warnings"]):
            self.note(f"  {cause['label']}: {'; '.join(cause['evidence'])}")

    def row(self, row: Row) -> None:
        """One outcome, as it comes."""
        reason = f" ({row.reason})" if row.reason else ""
        self.say(f"{row.seconds:6.1f} s  {row.outcome:7}  {row.name}: {row.found or 'not staged'}{reason}")

    def write(self, rows: Sequence[Row], about: dict[str, Any]) -> None:
        """Write everything that is written at the end."""
        data = {"schema_version": 1, **about, "rows": [asdict(row) for row in rows]}
        replace(self._folder / OUTCOMES, json.dumps(data, indent=1) + "\n")
        replace(self._folder / "doctor.json", json.dumps(self._documents, indent=1) + "\n")
        replace(self._folder / "table.md", "\n".join(table([asdict(row) for row in rows])) + "\n")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The outcomes in markdown; a skip says why."""
    lines = ["| staged | expected | found | outcome | seconds |", "|---|---|---|---|---|"]
    for row in rows:
        outcome = f"{row['outcome']}: {row['reason']}" if row["reason"] else row["outcome"]
        cells = (row["what"], row["expected"], row["found"] or "-", outcome, f"{row['seconds']:.1f}")
        lines.append(f"| {' | '.join(' '.join(str(cell).split()).replace('|', '/') for cell in cells)} |")
    return lines
