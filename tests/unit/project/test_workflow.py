"""The workflow takes its cells from the command line's list, with the very filter that it ships."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dlmatrix.matrix.model import Matrix, Status


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq, which hosted runners have, is not here")
@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_cells(matrix: Matrix, variant: str) -> None:
    text = (matrix.root / ".github" / "workflows" / "matrix.yml").read_text()
    found = re.search(r"jq --compact-output .*?'(.*?)' cells\.json", text, re.DOTALL)
    assert found
    cells = [{"name": e.name, "variant": e.variant, "status": e.status.value} for e in matrix.envs]
    command = ["jq", "--compact-output", "--arg", "variant", variant, "--raw-output", found[1]]
    done = subprocess.run(command, input=json.dumps(cells), capture_output=True, text=True, check=True)
    name, _, names = done.stdout.rstrip("\n").partition("=")
    assert name == variant
    assert json.loads(names) == [
        e.name for e in matrix.envs if e.variant == variant and e.status is not Status.IMPOSSIBLE
    ]


def test_every_action_is_pinned_to_a_commit(root: Path) -> None:
    for file in (root / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)(.*)", file.read_text())
        assert used
        for action, comment in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
