"""The venv engine where something is missing. What it does when all is well, `make run` in CI shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


def run(root: Path, cwd: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(root)} | changes
    command = [sys.executable, "-m", "dlmatrix", "run", "--engine", "venv", *arguments]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def small_disk(root: Path, tmp_path: Path) -> Iterator[Path]:
    """A checkout on a file system of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system of 16 MiB")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system of 16 MiB: {mounted.stderr.strip()}")
    try:
        for folder in ("docker", "envs", "smoke"):
            shutil.copytree(root / folder, disk / folder, ignore=shutil.ignore_patterns("__pycache__"))
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_python_that_is_not_here_is_a_skip_that_says_so(root: Path, tmp_path: Path) -> None:
    hidden = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    hidden |= {"UV_PYTHON_DOWNLOADS": "never"}
    done = run(root, root, "cpu-tf1-1.15", "--report", str(tmp_path / "report"), **hidden)
    assert done.returncode == 77, done.stdout + done.stderr
    assert "Python 3.7 is not on this machine, and uv could not bring it: " in done.stdout
    assert "pyenv install 3.7" in done.stdout
    assert '"outcome": "skipped"' in (tmp_path / "report" / "result.json").read_text()


@pytest.mark.network
def test_a_full_disk_is_named_and_nothing_is_left_on_it(root: Path, small_disk: Path, tmp_path: Path) -> None:
    done = run(
        root, small_disk, "cpu-torch-2.13", "--report", str(tmp_path / "report"), UV_CACHE_DIR=str(tmp_path / "cache")
    )
    assert done.returncode == 9, done.stdout + done.stderr
    assert "disk is full" in done.stdout
    assert list((small_disk / ".dlmatrix" / "venvs").iterdir()) == []
    assert not list((small_disk / ".dlmatrix").glob("tmp-*"))
