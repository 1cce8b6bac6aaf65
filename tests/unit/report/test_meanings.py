"""Every check has its meaning in plain words, in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.report.meanings import meaning, read_meanings
from dlmatrix.run.bare_metal import BARE_METAL


def checks(root: Path) -> Iterator[str]:
    """The ids of all checks: of the modules of smoke/checks/, and of those that are made from outside."""
    for file in (root / "smoke" / "checks").glob("*.py"):
        yield from re.findall(r'^ID = "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE)
    for file in (root / "dlmatrix").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args
            if named and node.func.id in ("check_entry", "_result") and isinstance(node.args[0], ast.Constant):
                yield from filter(None, [node.args[0].value])  # an entry without a name is asked for its keys alone
    yield BARE_METAL


def test_every_check_and_nothing_else_has_a_meaning_in_plain_words(root: Path) -> None:
    known = set(checks(root))
    assert {"conv2d", "image-size", "gpu-diagnosis", "library-closure", "throughput"} <= known
    assert set(read_meanings()) == known
    for words in read_meanings().values():
        assert set(words) == {"en", "zh"}
        assert len(words["en"]) <= 60
        assert re.search("[\u4e00-\u9fff]", words["zh"])
    assert meaning("conv2d") == "convolution gives the right numbers"
    assert meaning("of another version") == ""
