"""Bytecode is handed out by group and by path, and nobody waits for what will not come."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path
from typing import IO

import pytest

from dlmatrix.errors import BuildError
from dlmatrix.layers.bytecode import Bytecode
from dlmatrix.layers.installed import File

PACKAGES = "lib/python3.11/site-packages/"


def source(path: str) -> File:
    return File(path=path, content=path.encode(), executable=False)


GROUPS = [
    [source(f"{PACKAGES}b.py"), source(f"{PACKAGES}a.py"), source("bin/tool.py"), source(f"{PACKAGES}a.txt")],
    [],
    [source(f"{PACKAGES}deep/c.py")],
]


def shout(given: IO[bytes], made: IO[bytes]) -> None:
    """Stands for the compiler."""
    with tarfile.open(fileobj=given) as sources, tarfile.open(fileobj=made, mode="w") as out:
        for member in sources:
            content = sources.extractfile(member).read().upper()  # type: ignore[union-attr]
            member.size, member.name = len(content), f"{member.name}c"
            out.addfile(member, io.BytesIO(content))


def test_a_groups_is_by_path_and_that_of_packages_alone(tmp_path: Path) -> None:
    bytecode = Bytecode(GROUPS, "3.11", tmp_path)
    bytecode.compile(shout)
    found = [[(file.path, file.read()) for file in bytecode.of(number)] for number in range(3)]
    names = [[f"{PACKAGES}{name}" for name in group] for group in (["a.py", "b.py"], [], ["deep/c.py"])]
    assert found == [[(f"{name}c", name.upper().encode()) for name in group] for group in names]


def test_where_nothing_is_to_be_compiled_nothing_is_started(tmp_path: Path) -> None:
    bytecode = Bytecode([[source("bin/tool.py")]], "3.11", tmp_path)
    bytecode.compile(lambda given, made: pytest.fail("it was started"))
    assert list(bytecode.of(0)) == []


def test_whoever_waits_is_told_that_it_failed(tmp_path: Path) -> None:
    bytecode, told = Bytecode(GROUPS, "3.11", tmp_path), []

    def wait() -> None:
        with pytest.raises(BuildError, match="not compiled"):
            list(bytecode.of(0))
        told.append(True)

    def fail(given: IO[bytes], made: IO[bytes]) -> None:
        raise KeyboardInterrupt

    waiting = threading.Thread(target=wait)
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        bytecode.compile(fail)
    waiting.join()
    assert told == [True]


@pytest.mark.parametrize(
    "name",
    [
        "x/__pycache__/a.pyc",
        "7/a.pyc",
        "-1/__pycache__/a.pyc",
        "__pycache__/a.pyc",
        "0/../../../etc/__pycache__/a.pyc",
        "0//etc/__pycache__/a.pyc",
        "0/a.so",
    ],
)
def test_a_compiler_that_answers_nonsense(tmp_path: Path, name: str) -> None:
    def nonsense(given: IO[bytes], made: IO[bytes]) -> None:
        with tarfile.open(fileobj=made, mode="w") as out:
            out.addfile(tarfile.TarInfo(name))

    with pytest.raises(BuildError, match="no tar"):
        Bytecode(GROUPS, "3.11", tmp_path).compile(nonsense)
