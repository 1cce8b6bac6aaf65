"""A guide read from a text, and its steps by their kinds."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.guides.model import Step
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.steps import Reading, read_steps


def read(folder: Path, name: str, text: str, branch: str = "cpu", encoding: str = "utf-8") -> Reading:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return read_steps(read_guide(file), branch)


def said(reading: Reading) -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in reading.steps if step.kind not in ("output", "file")]


def only(reading: Reading, kind: str) -> list[Step]:
    return [step for step in reading.steps if step.kind == kind]
