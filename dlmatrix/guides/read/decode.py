"""A guide's file as text: its encoding, its format and its language are guessed from what is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dlmatrix.errors import UsageError

#: Bytes that a guide may have; a page of words is a thousandth of it, a notebook full of pictures a half.
MOST_BYTES = 64 * 2**20
#: Names that end so say what a file is.
SUFFIXES = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown", ".rst": "rst", ".rest": "rst", ".html": "html",
    ".htm": "html", ".xhtml": "html", ".ipynb": "notebook",
}  # fmt: skip
_HTML = re.compile(r"<(?:!doctype html|html|body|article|div|p|pre)\b", re.I)
_RST = re.compile(r"^\.\. [\w:-]+::", re.M)
#: A title with its line below, and a paragraph that ends as one does before a block.
_RST_TITLE, _RST_BLOCK = re.compile(r"^[^\n]+\n([=^~-])\1{3,}$", re.M), re.compile(r"::[ \t]*$", re.M)
_DATE = re.compile(r"(?<!\d)(20[012]\d)\s*[-/.年]\s*(0?[1-9]|1[0-2])\s*[-/.月]\s*(0?[1-9]|[12]\d|3[01])(?!\d)")
_DATED = re.compile(r"date|posted|published|updated|发布|发表|更新|时间|日期|于", re.I)


def read_text(file: Path) -> tuple[str, str]:
    """The text of a file and the encoding that it is in. Raises UsageError for what is no text."""
    try:
        if not file.is_file():
            raise UsageError(
                f"{file}: " + ("is no file" if file.exists() else "no such file"),
                "name a guide's file; a folder of them: python -m dlmatrix guides FOLDER",
            )
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{file}: larger than {MOST_BYTES >> 20} MB", "name the page itself, without its pictures")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a guide's file") from None
    for bom, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig")):
        if data.startswith(bom):
            return _newlines(data.decode(encoding, "replace")), encoding
    if b"\0" in data:
        raise UsageError(f"{file}: this is no text, but a binary file", "name a guide: Markdown, HTML, a notebook …")
    for encoding in ("utf-8", "gb18030"):
        try:
            return _newlines(data.decode(encoding)), encoding
        except UnicodeDecodeError:
            pass
    # A page cut off in the middle of a character, or with a byte that is wrong: what is right stays readable.
    better = min(("utf-8", "gb18030"), key=lambda name: data.decode(name, "replace").count("\ufffd"))
    return _newlines(data.decode(better, "replace")), better


def format_of(file: Path, text: str) -> str:
    """``markdown``, ``rst``, ``html``, ``notebook`` or ``plain``: what is in it counts more than its name."""
    start = text.lstrip()[:2000]
    if start.startswith("{") and '"cells"' in text:
        try:
            if cells_of(json.loads(text)) is not None:
                return "notebook"
        except (ValueError, RecursionError):
            pass
    named = SUFFIXES.get(file.suffix.lower(), "")
    if named == "notebook":
        raise UsageError(f"{file}: not a notebook: its JSON does not parse, or has no cells", "save the notebook again")
    if named:
        return named
    if _HTML.match(start):
        return "html"
    if re.search(r"^\s*(?:```|~~~)|```\w+ ", text, re.M):
        return "markdown"
    titled = _RST_TITLE.search(text)
    return "rst" if _RST.search(text) or (titled and _RST_BLOCK.search(text, titled.end())) else "plain"


def cells_of(notebook: Any) -> list[Any] | None:
    """A notebook's cells, which format 3 has in sheets; None for what is no notebook."""
    sheets = notebook.get("worksheets", [notebook]) if isinstance(notebook, dict) else None
    if not isinstance(sheets, list):
        return None
    found = [cells for sheet in sheets if isinstance(sheet, dict) and isinstance(cells := sheet.get("cells"), list)]
    return [cell for cells in found for cell in cells] if found else None


def language_of(text: str) -> str:
    """``zh`` where more than one sign in thirty is Chinese, else ``en``."""
    chinese = len(re.findall("[\u4e00-\u9fff]", text))
    return "zh" if chinese * 30 > len(text.replace(" ", "")) else "en"


def date_of(text: str) -> str:
    """The first day that a line with a word like ``date`` or 发布 names near the beginning."""
    for line in text[:4000].splitlines():
        if _DATED.search(line) and (found := _DATE.search(line)):
            return f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}"
    return ""


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
