"""docs/gpu-causes.md is what the catalogue and the lab say."""

from __future__ import annotations

from tests.lab.document import DOCUMENT, text


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == text(), "write it anew: python -m tests.lab.document"
