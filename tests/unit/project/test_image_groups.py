"""Image tests that would disturb one another are in one process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.groups import READING, SMALL, group_of


@pytest.mark.parametrize("module", [*SMALL, *READING])
def test_a_module_of_a_group_is_there(root: Path, module: str) -> None:
    assert (root / "tests" / "image" / f"{module}.py").is_file()


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("test_contents.py::test_what_is_planted_is_found", "small images"),
        ("test_mutations.py::test_every_planted_fault_is_caught_by_its_check[cpu-tf2-2.21]", "images that stay"),
        ("test_closure.py::test_whole[gpu-tf2-2.10]", "images that stay"),
        ("test_mutations.py::test_every_planted_fault[cpu-torch-2.13]", "this checkout's images"),
        ("test_mutations.py::test_an_open_container[hermetic-changes0-]", "this checkout's images"),
        ("test_assembled.py::test_the_files_are_those[cpu-tf2-2.21]", "this checkout's images"),
        ("test_cells.py::test_a_cell_passes", "this checkout's images"),
    ],
)
def test_a_test_belongs_to_what_it_would_disturb(test: str, group: str) -> None:
    assert group_of(f"tests/image/{test}") == group


def test_each_group_has_one_process(root: Path, tmp_path: Path) -> None:
    """Of xdist itself, with tests that are all skipped: nothing answers at the engine's address."""
    words = ["-m", "image", "--numprocesses", "3", "--verbose", "tests/image"]
    environ = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=root, env=environ, capture_output=True, text=True, check=False
    )
    workers: dict[str, set[str]] = {}
    for worker, test in re.findall(r"^\[(gw\d)\] .* SKIPPED (tests/image/.*)$", done.stdout, re.M):
        workers.setdefault(group_of(test), set()).add(worker)
    assert [len(found) for found in workers.values()] == [1, 1, 1], done.stdout[-2000:]
