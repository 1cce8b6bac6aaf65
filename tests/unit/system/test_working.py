"""What a killed process left is removed by the next one, and nothing of one that lives."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlmatrix.system import process
from dlmatrix.system.working import alive, labels, remove_left, scratch, working

#: Works in a checkout, where a command of it runs, with a child in a session of its own; says which, and waits.
WORKS = """
import os, sys
from pathlib import Path
from dlmatrix.system.process import run_lines
from dlmatrix.system.working import scratch, working
root = Path(sys.argv[1])
with working(root) as own, scratch(root) as temporary:
    (temporary / "file").touch()
    (root / ".dlmatrix" / "built" / "docker").mkdir(parents=True)
    (root / ".dlmatrix" / "built" / "docker" / f".cpu-x.json.{os.getpid()}-1").touch()
    print(own.name, flush=True)
    run_lines(["sh", "-c", "setsid cat fifo & echo $! $$ >&2; wait"], environ=os.environ, cwd=root,
              say=lambda line: print(line, flush=True))
"""


@pytest.fixture
def other(root: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works there."""
    os.mkfifo(tmp_path / "fifo")
    command = [sys.executable, "-c", WORKS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as works:
        yield works
        works.kill()


def kept(root: Path) -> list[str]:
    folder = root / ".dlmatrix"
    return sorted(path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file())


@pytest.mark.timeout(60)
def test_of_a_process_that_was_killed_nothing_is_left(other: subprocess.Popen[str], tmp_path: Path) -> None:
    assert other.stdout
    name = other.stdout.readline().strip()
    handles = [os.pidfd_open(int(word)) for word in other.stdout.readline().split()]
    try:
        before = kept(tmp_path)
        remove_left(tmp_path)
        assert kept(tmp_path) == before == ["built", name, name]
        assert alive(tmp_path, name)
        assert not any(select.select([handle], [], [], 0)[0] for handle in handles)
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert not alive(tmp_path, name)
        with working(tmp_path) as own:
            assert kept(tmp_path) == [own.name]
        assert all(select.select([handle], [], [], 30)[0] for handle in handles)
        assert kept(tmp_path) == []
    finally:
        for handle in handles:
            os.close(handle)


def test_what_it_starts_bears_its_name(tmp_path: Path) -> None:
    with working(tmp_path) as own, scratch(tmp_path) as temporary:
        assert temporary.parent == own
        assert labels()["dlmatrix.run"] == own.name
        done = process.run_lines(["sh", "-c", "echo $DLMATRIX_RUN"], say=print, environ=os.environ)
        assert done.stdout.decode().strip() == str(own)
    assert (labels(), process.marks) == ({}, {})


def test_a_folder_that_is_just_being_made_is_nobody_s_to_remove(tmp_path: Path) -> None:
    (tmp_path / ".dlmatrix" / "tmp-1").mkdir(parents=True)
    (tmp_path / ".dlmatrix" / "tmp-2").mkdir()
    os.utime(tmp_path / ".dlmatrix" / "tmp-2", (0, 0))
    remove_left(tmp_path)
    assert [folder.name for folder in (tmp_path / ".dlmatrix").iterdir()] == ["tmp-1"]
