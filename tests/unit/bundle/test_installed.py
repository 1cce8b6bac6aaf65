"""A bundle where there is no checkout: an installed package carries what it has of one, and is held against one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.bundle import compare, contents
from dlmatrix.bundle.manifest import Manifest, Member
from dlmatrix.system import checkout
from dlmatrix.system.files import sha256


@pytest.fixture
def installed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of an installed package, as pyproject.toml puts it together."""
    package = tmp_path / "site-packages" / "dlmatrix"
    shutil.copytree(root / "dlmatrix" / "bundle", package / "bundle")
    data = package / "data"
    for name in ("docker", "envs", "smoke"):
        shutil.copytree(root / name, data / name)
    for name in ("Makefile", "noxfile.py"):
        shutil.copy2(root / name, data / name)
    monkeypatch.setattr(checkout, "_PACKAGE", package)
    for module in (checkout, compare, contents):
        monkeypatch.setattr(module, "DATA", data)
    return data


def no_word(line: str) -> None:
    raise AssertionError(line)


def test_it_carries_what_an_unpacked_bundle_is_used_by(installed: Path) -> None:
    """It was refused: "no checkout, and a bundle carries one"."""
    found, commit = contents.checkout(installed, no_word)
    paths = {one.path: one for one in found}
    assert {"Makefile", "noxfile.py", "envs/bases.toml", "smoke/schema.json", "dlmatrix/bundle/setup.py"} <= set(paths)
    assert {path.partition("/")[0] for path in paths} == {
        "Makefile",
        "noxfile.py",
        "dlmatrix",
        "docker",
        "envs",
        "smoke",
    }
    assert not [path for path in paths if "__pycache__" in path or path.startswith("dlmatrix/data/")]
    assert [path for path, one in paths.items() if one.executable] == ["docker/make-base"]
    assert commit == "none: an installed package"


@pytest.fixture
def of_a_checkout(root: Path, installed: Path) -> Callable[..., Manifest]:
    """The manifest of a bundle that a checkout made, in which a few files are others."""

    def made(*others: str) -> Manifest:
        names = ["README.md", *(one.path for one in contents.checkout(installed, no_word)[0])]
        facts = {"cpu-torch-2.13": {"lock": sha256(root / "envs" / "locks" / "cpu-torch-2.13.txt")}}
        members = [Member(path=name, size=len(name), sha256="0" * 64, origin="x") for name in others]
        for name in set(names) - {*others}:
            file = root / name
            members.append(Member(path=name, size=file.stat().st_size, sha256=sha256(file), origin="x"))
        return Manifest(envs=facts, versions={"uv": compare.metadata.version("uv")}, members=tuple(members))

    return made


def test_it_differs_by_no_file_that_no_package_has(installed: Path, of_a_checkout: Callable[..., Manifest]) -> None:
    """A thousand tests and documents were "not here", and the exit code was 1."""
    lines, same = compare.differences(installed, of_a_checkout())
    assert same
    assert lines[0] == "cpu-torch-2.13: the same lock"
    assert lines[1].startswith("installed package: ")
    assert len(lines) == 2


def test_a_file_that_is_another_or_is_lacking_is_told(installed: Path, of_a_checkout: Callable[..., Manifest]) -> None:
    lines, same = compare.differences(installed, of_a_checkout("smoke/model.py", "dlmatrix/fleet/row.py"))
    assert not same
    assert lines[2:] == ["changed: smoke/model.py", "not here: dlmatrix/fleet/row.py"]
