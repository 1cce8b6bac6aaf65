"""Predicates on the files of the framework's wheels (row 93)."""

from __future__ import annotations

from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, predicate


@predicate
def _wheel_damaged(_case: Case, view: View) -> Match | None:
    ill = [row for row in view.rows("framework.files") if row.text("problem") != "missing"]
    # A file that is gone may have been taken out on purpose, unless the framework asks for it.
    words = view.framework_words
    gone = [row for row in view.rows("framework.files") if row.text("problem") == "missing"
            and row.text("file").rpartition("/")[2] in words]  # fmt: skip
    told = {row.text("file") for row in (*ill, *gone)}
    named = [row for row in view.rows("framework.blamed") if _of_a_wheel(row) and row.text("file") not in told]
    lines = [_line(row) for row in (*ill, *gone, *named)]
    return found(*lines[:6], when=lines)


def _of_a_wheel(row: View) -> bool:
    broken = not row.text("problem").startswith(("undefined symbol", "cannot enable", "failed to map"))
    return broken and bool(row.text("distribution"))


def _line(row: View) -> str:
    size, recorded = row.integer("size"), row.integer("recorded")
    sizes = f", {size} bytes instead of {recorded}" if size is not None and recorded is not None else ""
    return f"{row.text('file')}: {row.text('problem')}{sizes}; of {row.text('distribution')}=={row.text('version')}"
