"""Files that are written whole: what an error names is the file that was asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlmatrix.system.files import remove_tree, replace


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


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_a_folder_that_its_owner_has_closed_is_removed_too(tmp_path: Path, mode: int) -> None:
    """As root nothing is closed: a plain user is one."""
    tmp_path.chmod(0o777)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(tmp_path)
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            Path("top/closed/inner").mkdir(parents=True)
            Path("top/closed/inner/file").touch()
            Path("top/closed/inner").chmod(mode)
            Path("top/closed").chmod(mode)
            remove_tree(Path("top"))
            os._exit(int(os.path.lexists("top")))
        except BaseException:  # noqa: BLE001 - a child of a test must not go on as one
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
