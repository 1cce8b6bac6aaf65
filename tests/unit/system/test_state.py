"""The working folder: one run of an env at a time, nothing temporary left, garbage read as nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.errors import BusyError, DlmatrixError, UsageError
from dlmatrix.system.checkout import DATA, own_checkout
from dlmatrix.system.state import exclusive, recall, remember, reports_folder, state_dir, state_folder
from dlmatrix.system.working import scratch

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


def test_a_torn_name_of_the_holder_is_told_as_far_as_it_can_be_read(root: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        (state_dir(tmp_path) / "busy" / "cpu-x").write_bytes(b"\xff\xfe")
        with pytest.raises(BusyError, match="another run of it is under way"):
            exclusive(tmp_path, "cpu-x").__enter__()
        holder.kill()


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


@pytest.fixture
def shared(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that is another's: nothing in it can be written. Root may write everywhere, so it is only said so."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: checkout not in (path, *path.parents) and allowed(path, mode))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return checkout


def test_a_checkout_that_can_be_written_holds_what_is_made_for_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert state_folder(checkout) == checkout / ".dlmatrix"
    assert reports_folder(checkout) == checkout / "reports"
    assert own_checkout(checkout) == checkout
    assert not (checkout / ".dlmatrix").exists()


def test_of_a_checkout_that_cannot_be_written_nothing_is_touched(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(shared.rglob("*"))
    monkeypatch.chdir(tmp_path)
    with exclusive(shared, "cpu-x"), scratch(shared):
        remember(shared, "docker", "cpu-x", key="1")
    assert recall(shared, "docker", "cpu-x") == {"key": "1"}
    assert state_folder(shared).parent == tmp_path / "state" / "dlmatrix"
    assert reports_folder(shared) == tmp_path / "reports"
    monkeypatch.chdir(shared)
    assert reports_folder(shared) == state_folder(shared) / "reports"
    assert sorted(shared.rglob("*")) == before
    with pytest.raises(UsageError, match="cannot be written"):
        own_checkout(shared)


def test_each_shared_checkout_has_a_folder_of_its_own_and_all_installed_packages_one(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {state_folder(root).name for root in (shared, shared / "checkout", DATA)}
    assert len(folders) == 3
    assert {name.partition("-")[0] for name in folders} == {"checkout", "installed"}


@pytest.mark.parametrize("named", ["", "relative/folder"])
def test_without_a_name_the_users_folder_is_below_home(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_dir(shared).parent == tmp_path / "home" / ".local" / "state" / "dlmatrix"


def test_a_users_folder_that_cannot_be_made_is_named_with_the_way_out(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(DlmatrixError, match=f"{tmp_path}/state/dlmatrix/.*: Not a directory") as raised:
        state_dir(shared)
    assert raised.value.next_step == "name a folder that can be written: export XDG_STATE_HOME=DIR"


def test_a_full_disk_is_named_by_the_folder_of_temporary_files(tmp_path: Path) -> None:
    """/dev/full opens, and has no room."""
    with pytest.raises(OSError, match=r"No space left on device: '.*/\.dlmatrix/tmp-"), scratch(tmp_path):
        Path("/dev/full").write_text("x")
