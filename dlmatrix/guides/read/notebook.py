"""Jupyter notebooks: cells are one program; what is stored as their output is what they promise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dlmatrix.guides.read.assemble import Code, Event, Finder
from dlmatrix.guides.read.decode import cells_of
from dlmatrix.guides.read.markdown import read_markdown


def read_notebook(text: str) -> Iterator[Event]:
    """The events of a notebook of any format since 3. What is not understood in it is passed over."""
    data = json.loads(text)
    finder = Finder(text)
    kernel = _dict(_dict(data.get("metadata")).get("kernelspec")).get("language") or "python"
    for cell in cells_of(data) or ():
        if not isinstance(cell, dict):
            continue
        source = _joined(cell.get("source", cell.get("input", "")))
        line = finder.line(json.dumps(source.split("\n")[0], ensure_ascii=False)[1:-1])
        if cell.get("cell_type") == "markdown":
            yield from read_markdown(source, line - 1, depth=1)
        elif cell.get("cell_type") == "code":
            yield Code(source, str(kernel).lower(), "cell", line, output=_outputs(cell.get("outputs")))


def _outputs(outputs: Any) -> str:
    """What a person sees of stored outputs: streams, the plain text of results, errors; no pictures."""
    said = []
    for one in outputs if isinstance(outputs, list) else []:
        if isinstance(one, dict) and one.get("output_type") in ("error", "pyerr"):
            said.append(f"Traceback (most recent call last):\n{one.get('ename')}: {one.get('evalue')}\n")
        elif isinstance(one, dict) and one.get("name") != "stderr":
            said.append(_joined(one.get("text") or _dict(one.get("data")).get("text/plain") or ""))
    return "".join(said)


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
