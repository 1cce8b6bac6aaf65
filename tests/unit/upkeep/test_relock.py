"""Locking: from what a person decides to hashed bytes, and the same bytes again."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import uv
from packaging.requirements import Requirement

from dlmatrix.errors import ConfigError, NetworkError, UsageError
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import KnownWheel, Matrix, Site, Status, normal_name
from dlmatrix.matrix.site import read_site
from dlmatrix.system.files import diff
from dlmatrix.system.files import replace as replace_file
from dlmatrix.system.toml import read_toml
from dlmatrix.upkeep.relock import PROJECT, Locker, known_wheels_index


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Matrix:
    """The matrix of a copy of envs/, so that writing harms nothing."""
    shutil.copytree(root / "envs", tmp_path / "envs")
    return load_matrix(tmp_path)


def locker(matrix: Matrix, site: Site | None = None) -> Locker:
    return Locker(matrix=matrix, site=site or read_site(os.environ), uv=uv.find_uv_bin())


@pytest.mark.network
def test_same_bytes_as_long_as_nothing_changed(copy: Matrix) -> None:
    said: list[str] = []
    assert locker(copy).relock(["cpu-torch-2.13"], write=True, say=said.append) is False
    assert said == ["cpu-torch-2.13: locking as of 2026-11-01T00:00:00Z"]


@pytest.mark.network
def test_build_requirements_are_locked_apart(copy: Matrix) -> None:
    env = next(env for env in copy.envs if env.name == "cpu-tf1-1.15")
    fresh = locker(copy).lock(env)
    assert sorted(file.name for file in fresh) == ["cpu-tf1-1.15.build.txt", "cpu-tf1-1.15.txt"]
    assert all(file.read_text() == text for file, text in fresh.items())


@pytest.mark.network
def test_shows_a_diff_and_writes_only_when_told(copy: Matrix) -> None:
    lock = copy.root / "envs" / "locks" / "cpu-torch-2.6.txt"
    good = lock.read_text()
    lock.write_text(good.replace("filelock==", "filelock==0."))
    said: list[str] = []
    assert locker(copy).relock(["cpu-torch-2.6"], write=False, say=said.append) is True
    assert "+++ envs/locks/cpu-torch-2.6.txt" in said[-1]
    assert "-filelock==0." in said[-1]
    assert lock.read_text() != good
    assert locker(copy).relock(["cpu-torch-2.6"], write=True, say=said.append) is True
    assert lock.read_text() == good
    assert sorted(file.name for file in lock.parent.iterdir()) == sorted(
        file.name for file in (Path(__file__).parents[3] / "envs" / "locks").iterdir()
    )


@pytest.mark.network
def test_a_requirement_without_solution_names_the_env_file(copy: Matrix) -> None:
    env = next(env for env in copy.envs if env.name == "cpu-tf2-2.21")
    env = replace(env, requirements=("tensorflow-cpu==2.21.999",))
    with pytest.raises(ConfigError, match=r"tf2-2.21.toml: uv cannot lock it:[\s\S]*2\.21\.999"):
        locker(copy).lock(env)


def test_an_entry_without_sha256_is_refused(copy: Matrix, tmp_path: Path) -> None:
    stub = tmp_path / "uv"
    stub.write_text("#!/bin/sh\nprintf 'unhashed==1.0\\n'\n")
    stub.chmod(0o755)
    env = next(env for env in copy.envs if env.name == "cpu-torch-2.13")
    with pytest.raises(ConfigError, match="unhashed has no sha256") as caught:
        Locker(matrix=copy, site=Site(), uv=str(stub)).lock(env)
    assert "torch-2.13.toml" in caught.value.next_step


def test_an_index_that_does_not_answer(copy: Matrix) -> None:
    site = Site(index="http://127.0.0.1:9/simple")
    env = next(env for env in copy.envs if env.name == "cpu-tf2-2.21")
    with pytest.raises(NetworkError):
        locker(copy, site).lock(env)


def test_a_python_without_wheels_is_refused_before_uv_runs(copy: Matrix) -> None:
    env = replace(next(env for env in copy.envs if env.name == "cpu-tf2-2.15"), python="3.13")
    with pytest.raises(ConfigError, match=r"has no wheels for Python 3\.13") as caught:
        locker(copy).lock(env)
    assert "3.9 to 3.11" in caught.value.next_step


def test_unknown_name(copy: Matrix) -> None:
    with pytest.raises(UsageError, match="no env named cpu-torch-9"):
        locker(copy).relock(["cpu-torch-9"], write=False, say=print)


def test_an_impossible_cell_says_why_it_has_no_lock(copy: Matrix) -> None:
    said: list[str] = []
    assert locker(copy).relock(["gpu-tf1-1.15"], write=False, say=said.append) is False
    assert said[0].startswith("gpu-tf1-1.15: has no lock: needs CUDA 10.0")


def test_index_of_known_wheels(tmp_path: Path) -> None:
    wheel = KnownWheel(
        file="torch-2.6.0+cpu-cp311-cp311-linux_x86_64.whl", sha256="5b" * 32, requires=("sympy==1.13.1",)
    )
    folder, settings = known_wheels_index(tmp_path, [wheel])
    page = (folder / "torch" / "index.html").read_text()
    assert f'href="{wheel.file}#sha256={wheel.sha256}"' in page
    assert "version = '2.6.0+cpu'\nrequires-dist = ['sympy==1.13.1']" in settings


def test_every_cell_that_can_be_is_locked_and_hashed(matrix: Matrix) -> None:
    locks = matrix.root / "envs" / "locks"
    cells = [env for env in matrix.envs if env.status is not Status.IMPOSSIBLE]
    assert len(cells) >= 20
    for env in cells:
        lock = read_lock(locks / f"{env.name}.txt", "")
        assert all(entry.hashes for entry in lock.entries)
        for requirement in env.requirements:
            name, _, version = requirement.partition("==")
            if version:
                assert lock.version_of(name.partition("[")[0]) == version, env.name
    extra = {file.name for file in locks.iterdir()} - {f"{env.name}.txt" for env in cells}
    assert extra == {"tools.txt", "fleet.txt", "machine.txt", "cpu-tf1-1.15.build.txt"}


@pytest.mark.parametrize("name", PROJECT)
def test_each_lock_of_the_project_has_all_that_it_asks_for(root: Path, name: str) -> None:
    project = read_toml(root / "pyproject.toml")
    more = {"--group": project["dependency-groups"], "--extra": project["project"]["optional-dependencies"]}
    kind, part = PROJECT[name] or ("", "")
    asked = [*project["project"]["dependencies"], *(more[kind][part] if kind else ())]
    locked = {entry.name for entry in read_lock(root / "envs" / "locks" / f"{name}.txt", "").entries}
    assert {normal_name(Requirement(one).name) for one in asked} - locked == set()


def test_replace_leaves_the_old_file_when_it_cannot_write(tmp_path: Path) -> None:
    file = tmp_path / "lock.txt"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(file, "\ud800")
    assert file.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == ["lock.txt"]


def test_diff_names_the_file_from_the_checkout(tmp_path: Path) -> None:
    assert diff(tmp_path, tmp_path / "envs" / "new.txt", "a==1\n").splitlines()[1] == "+++ envs/new.txt"
