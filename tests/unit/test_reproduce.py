"""What is rebuilt, and from where: names, and the second checkout that differs in all that must not matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.errors import UsageError
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Matrix
from dlmatrix.upkeep.reproduce import elsewhere, name_of, things_of


@pytest.mark.parametrize(
    ("asked", "named"), [("cpu-tf2-2.21", "cpu-tf2-2.21"), ("base-3.11", "base-3.11"), ("cpu-tf1", "cpu-tf1-1.15")]
)
def test_an_env_and_a_base_have_names(matrix: Matrix, asked: str, named: str) -> None:
    assert [name_of(thing) for thing in things_of(matrix, asked)] == [named]


def test_a_name_of_neither(matrix: Matrix) -> None:
    with pytest.raises(UsageError, match=r"base-2\.7"):
        things_of(matrix, "base-2.7")


def test_the_second_checkout_differs_in_place_modes_and_dates_and_in_nothing_else(checkout: Path) -> None:
    before = {file.relative_to(checkout): file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
    with elsewhere(checkout) as copy:
        assert copy != checkout
        files = {file.relative_to(copy): file for file in copy.rglob("*") if file.is_file()}
        assert {name: file.read_bytes() for name, file in files.items()} == before
        assert {file.stat().st_mtime for file in copy.rglob("*")} == {1_000_000_000}
        assert (copy / "smoke" / "model.py").stat().st_mode & 0o777 == 0o600
        assert (copy / "docker" / "make-base").stat().st_mode & 0o777 == 0o700
        assert load_matrix(copy).envs[0].name == load_matrix(checkout).envs[0].name
    assert not list((checkout / ".dlmatrix").glob("tmp-*"))
