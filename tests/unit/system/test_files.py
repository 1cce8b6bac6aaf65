"""Files that are written whole: what an error names is the file that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.system.files import replace


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    replace(file, "one")
    replace(file, b"two")
    assert file.read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["gone/a.txt", "file/a.txt"])
def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error:  # noqa: PT011 - whichever it is
        replace(tmp_path / name, "x")
    assert error.value.filename == str(tmp_path / name)
