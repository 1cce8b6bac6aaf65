"""An interpreter counts only if it runs and prints the version wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.system.interpreters import as_the_users, find_python

# A version that no machine has, so that only the folders of a test can have it.
WANTED = "3.99"

Script = Callable[..., Path]


def found(home: Path, *path: Path) -> Path | None:
    return find_python(WANTED, {"PATH": ":".join(map(str, path)), "HOME": str(home)})


def answers(version: str, executable: str, base: bool = True) -> str:
    return f"printf '%s\\n' '{version}' '{executable}' {base}"


@pytest.mark.parametrize(
    "body",
    [
        "echo 'pyenv: python3.99: command not found' >&2; exit 127",
        "exit 0",
        answers("3.98", "/else/python"),
        answers(WANTED, "/env/bin/python", base=False),
        "kill -KILL $$",
    ],
    ids=["a shim that fails", "one that says nothing", "another version", "a virtual environment", "one that dies"],
)
def test_what_only_looks_like_it_does_not_count(tmp_path: Path, script: Script, body: str) -> None:
    wrong = script(body, "shims/python3.99")
    assert found(tmp_path, wrong.parent) is None
    right = script(answers(WANTED, "/right/python3.99"), "right/python3.99")
    assert found(tmp_path, wrong.parent, right.parent) == Path("/right/python3.99")


def test_a_file_that_cannot_be_run_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "python3.99").write_bytes(b"\x7fELF broken")
    (tmp_path / "python3.99").chmod(0o755)
    assert found(tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    "folder", [".pyenv/versions/3.99.1/bin", ".local/share/uv/python/cpython-3.99.1-linux-x86_64-gnu/bin"]
)
def test_those_that_pyenv_and_uv_installed_are_found(tmp_path: Path, script: Script, folder: str) -> None:
    script(answers(WANTED, "/some/where else/python3.99"), f"{folder}/python3.99")
    assert found(tmp_path, tmp_path / "empty") == Path("/some/where else/python3.99")


def test_a_real_one(tmp_path: Path) -> None:
    base = Path(sys.base_prefix) / "bin"
    version = "{}.{}".format(*sys.version_info)
    python = find_python(version, {"PATH": str(base), "HOME": str(tmp_path)})
    assert python is not None
    assert python.name.startswith("python")


@pytest.mark.parametrize(
    ("own", "found"),
    [
        (None, "{root}"),
        ("", "{root}"),
        ("/a:/b", "{root}:/a:/b"),
        ("rel::{root}", "{root}:{here}/rel:{here}"),
    ],
)
def test_what_the_users_python_imports_is_left_to_it(
    own: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"root": "/checkout", "here": str(tmp_path)}
    environ = {"HOME": "/h", "PYTHONHOME": "/x", "VIRTUAL_ENV": "/y", "PYTHONNOUSERSITE": "1"}
    environ |= {} if own is None else {"PYTHONPATH": own.format(**names)}
    assert as_the_users(Path("/checkout"), environ) == {
        "HOME": "/h",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": found.format(**names),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
