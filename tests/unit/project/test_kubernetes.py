"""The example of a Kubernetes Job is one, as far as that can be told without a cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from smoke.__main__ import parser

EXAMPLE = Path("docs") / "kubernetes-job.yaml"


@pytest.fixture
def validate() -> str:
    found = shutil.which("kubernetes-validate")
    if not found:
        pytest.skip("there is no kubernetes-validate on the PATH (pip install it in an environment of its own)")
    return found


def test_it_is_valid_word_for_word(root: Path, validate: str) -> None:
    done = subprocess.run(
        [validate, "--strict", root / EXAMPLE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_misspelt_word_is_found(root: Path, validate: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text((root / EXAMPLE).read_text().replace("backoffLimit", "backofLimit"))
    done = subprocess.run([validate, "--strict", tmp_path / "job.yaml"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 1


def test_its_arguments_are_those_of_the_checks(root: Path) -> None:
    found = re.search(r"^ +args: \[(.*)\]$", (root / EXAMPLE).read_text(), re.M)
    assert found
    words = [word.strip("\"'") for word in re.findall(r"'[^']*'|[^,\s]+", found[1])]
    options = parser().parse_args(words)
    assert (options.framework, options.json) == ("torch", "-")
    assert options.expect == json.loads(words[-1])
