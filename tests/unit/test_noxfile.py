"""The sessions, as nox itself sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.matrix.model import Matrix


def nox(root: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "nox", "--noxfile", str(root / "noxfile.py"), *arguments, "--list"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def selected(root: Path, *arguments: str) -> list[str]:
    return [session["session"] for session in json.loads(nox(root, "--json", *arguments))]


def cells(matrix: Matrix, variant: str) -> set[str]:
    return {f"{env.session}({env.short})" for env in matrix.envs if env.variant == variant}


def test_there_is_a_session_for_each_series_and_variant_and_for_each_cell(root: Path, matrix: Matrix) -> None:
    listed = {line.split()[1] for line in nox(root).splitlines() if line.startswith(("- ", "* "))}
    series = {env.session for env in matrix.envs}
    assert series | cells(matrix, "cpu") | cells(matrix, "gpu") <= listed
    assert {"lint", "tests", "image-tests", "bases"} <= listed
    assert {name for name in listed if name.startswith(("cpu-", "gpu-"))} == series | cells(matrix, "cpu") | cells(
        matrix, "gpu"
    )


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_a_variant_s_tag_selects_exactly_its_cells(root: Path, matrix: Matrix, variant: str) -> None:
    found = selected(root, "--tags", variant)
    assert set(found) == cells(matrix, variant)
    assert len(found) == len(set(found))


def test_one_version_can_be_picked_and_a_series_is_one_session(root: Path) -> None:
    assert selected(root, "--session", "cpu-torch(2.13)") == ["cpu-torch(2.13)"]
    assert selected(root, "--session", "cpu-torch") == ["cpu-torch"]


def test_without_a_word_only_the_first_cell_runs(root: Path) -> None:
    assert selected(root) == ["cpu-torch"]


def test_every_session_says_in_a_line_what_it_does(root: Path) -> None:
    lines = [line for line in nox(root).splitlines() if line.startswith(("- ", "* "))]
    assert lines
    assert [line for line in lines if " -> " not in line or not line.rstrip().endswith(".")] == []
