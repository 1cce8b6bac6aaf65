"""What is kept of a look into a base counts only while it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.inspection.examine import _once, _own_key


class Looks:
    """An engine that counts how often it is asked."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> bytes:
        self.looks += 1
        return b"/bin\0/etc\n\0"


@pytest.mark.parametrize("torn", [b"", b"{", b"\0" * 4096, b"/bin\0", None])
def test_a_base_is_looked_at_again_where_what_was_kept_is_torn(tmp_path: Path, torn: bytes | None) -> None:
    images = Looks()
    file = tmp_path / "base.files"
    asked = [_once(file, images.look) for _ in range(2)]
    assert (asked, images.looks) == ([b"/bin\0/etc\n\0"] * 2, 1)
    file.write_bytes(file.read_bytes()[:-3] if torn is None else torn)
    assert _once(file, images.look) == b"/bin\0/etc\n\0"
    assert images.looks == 2


def test_the_key_of_a_checkout_stays_and_is_read_by_nobody_else(tmp_path: Path) -> None:
    key = _own_key(tmp_path)
    assert len(key) == 32
    assert _own_key(tmp_path) == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
