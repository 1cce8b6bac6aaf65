"""A kept result is made anew once anything behind it has changed: each module and data file is edited in turn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dlmatrix.system.sources import made_by

CLOSURE = ["dlmatrix.inspection.library_check", "dlmatrix.engines.places"]
EXAMINED = ["dlmatrix.inspection.examine", "dlmatrix.engines.docker.images"]


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "dlmatrix", tmp_path / "dlmatrix", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "envs", tmp_path / "envs")
    return tmp_path


@pytest.mark.parametrize(
    ("modules", "behind", "beside"),
    [
        (
            CLOSURE,
            [
                *("inspection/library_check.py", "inspection/closure.py", "inspection/elf.py", "inspection/loader.py"),
                *(
                    "inspection/filesystem.py",
                    "inspection/libraries.py",
                    "inspection/libraries.toml",
                    "inspection/reach.py",
                ),
                *("engines/places.py", "matrix/compatibility.py", "system/toml.py", "document/check.py"),
                "../envs/compatibility.toml",
            ],
            ["report/summary.py", "cli/run.py", "upkeep/relock.py", "../envs/digests.toml"],
        ),
        (
            EXAMINED,
            [
                *("inspection/examine.py", "inspection/contents.py", "inspection/sbom.py", "inspection/digests.py"),
                *("inspection/layers.py", "inspection/layer.py", "inspection/private.py", "layers/layout.py"),
                *("engines/docker/images.py", "matrix/plan.py", "matrix/model.py"),
            ],
            ["report/summary.py", "inspection/closure.py", "inspection/libraries.toml"],
        ),
    ],
)
def test_what_is_kept_is_made_anew_for_each_file_behind_it_and_for_no_other(
    copy: Path, modules: list[str], behind: list[str], beside: list[str]
) -> None:
    def digest() -> str:
        return made_by(modules, data=copy / "envs", package=copy / "dlmatrix")

    known = digest()
    assert digest() == known
    for name in behind:
        with (copy / "dlmatrix" / name).open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")
        assert digest() != known, name
        known = digest()
    for name in beside:
        with (copy / "dlmatrix" / name).open("a", encoding="utf-8") as file:
            file.write("\n# changed\n")
        assert digest() == known, name
