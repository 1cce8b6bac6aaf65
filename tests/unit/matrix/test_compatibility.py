"""The compatibility table: what loads, what is refused, and how it is held against a build."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.compatibility import Build, Compatibility, is_cuda, load_compatibility
from dlmatrix.matrix.model import Matrix
from tests.builds import Said, disagreements
from tests.unit.smoke.test_variants import CUDA, NOT_CUDA


@pytest.fixture(scope="module")
def table(root: Path) -> Compatibility:
    return load_compatibility(root)


def row(table: Compatibility, matrix: Matrix, name: str) -> Build:
    found = table.build_of(next(env for env in matrix.envs if env.name == name))
    assert found
    return found


def test_agrees_with_what_torch_2_11_said(table: Compatibility, matrix: Matrix) -> None:
    kernels = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")  # asked in its image
    assert disagreements(row(table, matrix, "gpu-torch-2.11"), Said(cuda="13.0", cudnn="9", kernels=kernels)) == ()


def test_compute_means_both_kinds_in_tensorflow_alone(table: Compatibility, matrix: Matrix) -> None:
    kernels = ("sm_60", "sm_70", "sm_80", "sm_89", "compute_90")
    said = Said(cuda="12.5.1", cudnn="9", kernels=kernels)
    assert disagreements(row(table, matrix, "gpu-tf2-2.21"), said) == ()
    kernels = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "compute_90")
    assert disagreements(row(table, matrix, "gpu-torch-2.6"), Said(cuda="12.4", cudnn="9", kernels=kernels)) == (
        "ptx: the table says none, the build says 9.0",
    )


def test_names_every_difference(table: Compatibility, matrix: Matrix) -> None:
    said = Said(cuda="12.1", cudnn="8", kernels=("sm_90",))
    assert disagreements(row(table, matrix, "gpu-torch-2.6"), said) == (
        "CUDA: the table says 12.4, the build says 12.1",
        "cuDNN: the table says 9, the build says 8",
        "machine code: the table says 5.0, 6.0, 7.0, 7.5, 8.0, 8.6, 9.0, the build says 9.0",
    )


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA A100-SXM4-80GB", "8.0"),
        ("NVIDIA A10", "8.6"),
        ("NVIDIA RTX A6000", "8.6"),
        ("Tesla P4", "6.1"),
        ("Tesla P40", "6.1"),
        ("NVIDIA GeForce GTX 1080 Ti", "6.1"),
        ("NVIDIA GeForce RTX 2080 SUPER", "7.5"),
        ("NVIDIA L40S", "8.9"),
        ("NVIDIA H200", "9.0"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "12.0"),
        ("NVIDIA RTX 2000 Ada Generation", None),
        ("Quadro RTX 4000", None),
    ],
)
def test_names_of_gpus(table: Compatibility, name: str, capability: str | None) -> None:
    found = table.capability_of(name)
    assert (str(found) if found else None) == capability


def test_rows_do_not_overlap(table: Compatibility) -> None:
    for rows in (table.builds, table.pythons):
        spans = sorted((r.framework, r.first, r.last) for r in rows)
        for before, after in itertools.pairwise(spans):
            assert before[0] != after[0] or before[2] < after[1], (before, after)


def test_every_toolkit_has_a_driver_for_its_kernels(table: Compatibility) -> None:
    for build in table.builds:
        assert table.machine_code_driver(build) <= table.own_driver(build)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('cuda = "13.0"', 'cuda = "thirteen"', r"build\[10\]\.cuda: 'thirteen' is no version"),
        ('cuda = "13.0"', 'cude = "13.0"', r"build\[10\]\.cuda: is missing"),
        ('versions = ["2.11.0", "2.14.1"]', 'versions = ["2.11.0"]', r"versions: must be the first and the last"),
        ('"11" = "450"', '"11" = 450', r"minor-version-driver\.11: must be a string"),
        ("integrated =", "integrate =", r"integrated: is missing"),
        ("branch = 470", 'branch = "470"', r"last-branch\[1\]\.branch: must be a number"),
        ("[gpu-names]", "[gpu-name]\n[gpu-names]", r"gpu-name: is not known"),
    ],
)
def test_a_broken_table_names_file_and_key(root: Path, tmp_path: Path, old: str, new: str, what: str) -> None:
    (tmp_path / "envs").mkdir()
    file = tmp_path / "envs" / "compatibility.toml"
    shutil.copy(root / "envs" / "compatibility.toml", file)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=what) as caught:
        load_compatibility(tmp_path)
    assert str(file) in caught.value.message


def test_both_sides_know_the_same_cuda_libraries() -> None:
    assert [name for name in (CUDA + NOT_CUDA).split() if is_cuda(name)] == CUDA.split()
