"""Adding a version is one file in envs/ and one lock: list, sessions and run follow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A copy of the checkout in which PyTorch 2.13 has never been heard of."""
    for name in ("dlmatrix", "smoke", "envs", "docker"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("noxfile.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "envs" / "torch-2.13.toml").unlink()
    for lock in (tmp_path / "envs" / "locks").glob("*-torch-2.13.txt"):
        lock.unlink()
    return tmp_path


def dlmatrix(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "dlmatrix", *arguments]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)


def cells(checkout: Path) -> set[str]:
    return {cell["name"] for cell in json.loads(dlmatrix(checkout, "list", "--json").stdout)}


@pytest.mark.network
def test_one_file_and_one_lock(root: Path, checkout: Path) -> None:
    before = cells(checkout)
    assert "cpu-torch-2.13" not in before

    shutil.copy(root / "envs" / "torch-2.13.toml", checkout / "envs")
    assert cells(checkout) == before | {"cpu-torch-2.13", "gpu-torch-2.13"}
    unlocked = dlmatrix(checkout, "run", "cpu-torch-2.13", "--engine", "venv", "--report", str(checkout / "early"))
    assert unlocked.returncode == 3
    assert "nox -s lock -- cpu-torch-2.13 --write" in unlocked.stdout + unlocked.stderr

    locked = dlmatrix(checkout, "lock", "cpu-torch-2.13", "--write")
    assert locked.returncode == 0, locked.stderr
    nox = [sys.executable, "-m", "nox", "--noxfile", str(checkout / "noxfile.py"), "--list"]
    assert "cpu-torch(2.13)" in subprocess.run(nox, capture_output=True, text=True, check=True).stdout

    report = checkout / "report"
    ran = dlmatrix(checkout, "run", "cpu-torch-2.13", "--throughput", "0", "--engine", "venv", "--report", str(report))
    (env,) = json.loads((report / "result.json").read_text())["envs"]
    assert (ran.returncode, env["outcome"]) == (0, "passed"), env["reason"]
