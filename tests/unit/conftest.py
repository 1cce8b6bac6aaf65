"""Unit tests cannot reach a Docker engine: whatever asks for one is sent where none is."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlmatrix.__main__ import main
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Matrix
from dlmatrix.system.checkout import find_root


@pytest.fixture(autouse=True)
def leaves_no_variable() -> Iterator[None]:
    """What a test leaves in the environment is another machine for whichever comes next in its process."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    os.environ.clear()
    os.environ.update(before)
    own = {"PYTEST_CURRENT_TEST"}
    assert {name: value for name, value in after.items() if name not in own} == {
        name: value for name, value in before.items() if name not in own
    }


@pytest.fixture(autouse=True)
def no_docker(leaves_no_variable: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point both clients, the SDK and the command, at a socket that does not exist."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker-in-unit-tests.sock")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return find_root(Path(__file__).parent)


@pytest.fixture(scope="session")
def matrix(root: Path) -> Matrix:
    """What envs/ says."""
    return load_matrix(root)


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the spine reads, to break and to write into; the working directory is in it."""
    copy = tmp_path / "checkout"
    for folder in ("envs", "docker", "smoke"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Write an executable shell script: a real process, where the code under test wants an interpreter."""

    def write(body: str, name: str = "python") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return write
