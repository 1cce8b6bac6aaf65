"""The working folder: one run of an env at a time, nothing temporary left, garbage read as nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.errors import BusyError
from dlmatrix.system.state import exclusive, recall, remember, scratch, state_dir

HOLD = """
import sys
from pathlib import Path
from dlmatrix.system.state import exclusive
with exclusive(Path(sys.argv[1]), "cpu-x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_holds_the_env_until_it_ends(root: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=rf"cpu-x: another run of it is under way \(process {holder.pid}\)"):
            exclusive(tmp_path, "cpu-x").__enter__()
        with exclusive(tmp_path, "cpu-y"):
            pass
        holder.kill()  # however it ends, the kernel lets go
        holder.wait()
        with exclusive(tmp_path, "cpu-x"):
            pass


def test_an_env_is_free_again_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), exclusive(tmp_path, "cpu-x"):
        raise ValueError("inside")
    with exclusive(tmp_path, "cpu-x"):
        pass


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    assert recall(tmp_path, "docker", "cpu-x") == {}
    remember(tmp_path, "docker", "cpu-x", key="1", image="2")
    remember(tmp_path, "venv", "cpu-x", key="3")
    remember(tmp_path, "docker", "cpu-x-2.13", key="4")
    assert recall(tmp_path, "docker", "cpu-x") == {"key": "1", "image": "2"}
    assert recall(tmp_path, "venv", "cpu-x") == {"key": "3"}
    assert recall(tmp_path, "docker", "cpu-x-2.13") == {"key": "4"}
    kept = sorted(file.name for file in (tmp_path / ".dlmatrix" / "built" / "docker").iterdir())
    assert kept == ["cpu-x-2.13.json", "cpu-x.json"]


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"null", b'"text"', b"\xff\xfe", b"\0" * 100])
def test_garbage_is_nothing(tmp_path: Path, garbage: bytes) -> None:
    remember(tmp_path, "docker", "cpu-x", key="1")
    (tmp_path / ".dlmatrix" / "built" / "docker" / "cpu-x.json").write_bytes(garbage)
    assert recall(tmp_path, "docker", "cpu-x") == {}


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_scratch_folder_is_always_removed(tmp_path: Path, error: type[BaseException] | None) -> None:
    def use() -> None:
        with scratch(tmp_path) as folder:
            (folder / "below").mkdir()
            (folder / "below" / "file").write_text("x")
            if error:
                raise error

    if error:
        with pytest.raises(error):
            use()
    else:
        use()
    assert list(state_dir(tmp_path).iterdir()) == []
