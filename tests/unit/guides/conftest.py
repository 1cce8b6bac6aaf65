"""What replays need: a world that can be made, and an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.errors import SkippedEnv
from dlmatrix.guides.contained import Surroundings, run_contained
from tests.unit.guides.worlds import wheel


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("try")
    try:
        run_contained(
            ["/bin/true"], cwd=Path("/"), environ={}, around=Surroundings(writable=(place,)), timeout_seconds=30
        )
    except SkippedEnv as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, "alpha", "1.0", "def two():\n    return 2\n")
    wheel(folder, "six", "1.17.0", "")
    old = "raise AttributeError(\"module 'tensorflow' has no attribute 'Old'\")"
    wheel(folder, "beta", "1.0", f"class compat:\n    class v1:\n        Old = abs\ndef Old(x):\n    {old}\n")
    for one in (folder, *folder.rglob("*")):  # as root the guide is nobody
        one.chmod(0o755)
    return folder
