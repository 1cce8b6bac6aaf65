"""The bases made from Debian packages: one digest, and a Python that finds all its libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.plan import SOURCE_DATE_EPOCH
from dlmatrix.system.interpreters import find_python
from dlmatrix.system.process import in_threads
from tests.image.support import ROOT

TAGS = ["dlmatrix-base:made-by-a-test", "dlmatrix-base:made-again"]


@pytest.fixture
def tags(client: Any) -> Iterator[list[str]]:
    """Names for images that the test makes and that are gone afterwards."""
    yield TAGS
    for tag in TAGS:
        if client.images.list(name=tag):
            # By its name: the same packages make the same image as the base in use, and an id would take that too.
            client.images.remove(tag)


@pytest.mark.parametrize("python", ["3.7", "3.10", "3.11"])
def test_the_python_of_a_base_finds_its_libraries(python: str, engine: DockerEngine) -> None:
    said = engine.client.containers.run(
        engine.choose_base(load_matrix(ROOT).base(python)).ref,
        [f"python{python}", "-c", "import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib; print('all there')"],
        network_mode="none",
        read_only=True,
        user="65532:65532",
        remove=True,
    )
    assert said == b"all there\n"


def test_a_base_made_twice_is_one_digest(tags: list[str], client: Any, tmp_path: Path) -> None:
    """The one whose interpreter is no package of Debian's; `reproduce base-3.11` makes another again."""
    python = "3.7"
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed: apt-get install mmdebstrap")
    base = load_matrix(ROOT).base(python)
    command = [str(ROOT / "docker" / "make-base"), "--suite", base.debian.suite, "--python", python]
    command += [word for package in base.debian.packages for word in ("--package", package)]
    command += ["--epoch", SOURCE_DATE_EPOCH]
    if base.debian.copy_interpreter:
        found = find_python(python)
        if found is None:
            pytest.skip(f"Python {python} is not on this machine")
        shown = subprocess.run(
            [found, "-I", "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
        )
        command += ["--python-prefix", shown.stdout.strip()]

    made = set()

    def make(tag: str) -> None:
        packages = tmp_path / tag.partition(":")[2]
        subprocess.run([*command, "--tag", tag, "--packages-file", str(packages)], check=True, capture_output=True)
        made.add((client.images.get(tag).id, packages.read_text(encoding="utf-8")))

    in_threads([partial(make, tag) for tag in tags], 2)

    ((_, listed),) = made
    assert "base-files " in listed
