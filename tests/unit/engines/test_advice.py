"""Each failure's right next command: who may not use the engine, which index, which package, which option."""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.engines.docker.socket import locked_out
from dlmatrix.engines.failures import explain
from dlmatrix.errors import BuildError, ConfigError, NetworkError

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A socket that this user may not use; root may use each, so its word is taken from the file's mode."""
    file = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(file))
    file.chmod(0o660)
    really = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != file and really(path, mode))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{file}")
    return f"unix://{file}"


def test_a_socket_of_another_group_names_the_group(closed: str, cli: Cli, checkout: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    assert locked_out(closed) == group
    code, _, err = cli("run", "cpu-torch", "--engine", "docker")
    assert code == 4
    assert f"is for root and the group {group}" in err
    assert f"next: sudo usermod -aG {group} $USER, then log in again; or use --engine venv" in err


def test_what_has_no_socket_is_not_locked_out(tmp_path: Path) -> None:
    assert locked_out(f"unix://{tmp_path}/none.sock") == ""
    assert locked_out("ssh://somebody@far") == ""


@pytest.mark.parametrize(
    ("said", "error", "message", "next_step"),
    [
        (
            "error: Failed to fetch: http://me:secret@index.example:3141/simple/idna/\n  cause: dns error",
            *(NetworkError, "the package index cannot be reached: index.example, asked for idna", "find-links"),
        ),
        (
            "error: Hash-checking is required, but no trusted hash was provided for: `filelock`",
            *(ConfigError, "its lock lacks filelock, which another", "nox -s lock -- cpu-x --write"),
        ),
        (
            "error: No solution found when resolving dependencies\n  cause: there is no version of torch==2.11.0+cpu",
            *(BuildError, "on no index that this machine knows: torch==2.11.0+cpu", "find-links"),
        ),
    ],
)
def test_which_index_and_which_package(said: str, error: type, message: str, next_step: str) -> None:
    found = explain(said, "cpu-x", "uv")
    assert type(found) is error
    assert message in found.message
    assert next_step in found.next_step
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--engine", "venv", "--python", "python3"], "--python is the interpreter of --engine host"),
        (["--engine", "venv", "--bases", "official"], "--bases: the engine venv builds on no base"),
        (["--engine", "venv", "--require-gpu"], "--require-gpu: none of the envs is for a GPU"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(checkout: Path, cli: Cli, options: list[str], says: str) -> None:
    code, _, err = cli("run", "cpu-torch-2.13", *options)
    assert (code, says in err) == (2, True)


def test_an_engine_is_advised_only_where_there_is_the_option(checkout: Path, cli: Cli) -> None:
    code, _, err = cli("reproduce", "cpu-torch-2.13")
    assert (code, "--engine" in err) == (4, False)
