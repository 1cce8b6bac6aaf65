"""Image tests run on a real Docker engine. Where none answers they are skipped, and say how to start one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.errors import EXIT_SKIPPED
from dlmatrix.matrix.site import read_site
from tests.image.support import ROOT, START, Dlmatrix, Ran, command, environment

#: Modules whose tests build, in a checkout of their own, an env that no other module has, or a base.
SMALL = ("test_apptainer", "test_base", "test_contents", "test_layers", "test_poisoned", "test_reproduce")
#: Modules whose tests only use images, one for each env; and the env whose image the tests of other modules change.
READING, CHANGED = ("test_closure", "test_compatibility", "test_hardening", "test_mutations"), "cpu-torch-2.13"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.image)
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    """Tests of one group never run at once: those of one name of an image, or of the containers of one checkout."""
    module = Path(item.path).stem
    if module in SMALL:
        return "small images"
    stays = module in READING and re.search(r"\[[cg]pu-", item.name) and CHANGED not in item.name
    return "images that stay" if stays else "this checkout's images"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where every test was skipped, nothing has been tested: 77, not 0."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # one of several workers has none
    stats = reporter.stats if reporter else {}
    if exitstatus == 0 and stats.get("skipped") and not stats.get("passed"):
        session.exitstatus = EXIT_SKIPPED


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """The engine's SDK client."""
    try:
        found = docker.from_env()
        found.ping()
    except (docker.errors.DockerException, OSError) as error:
        pytest.skip(f"no Docker engine answers ({error}); {START}")
    yield found
    found.close()


@pytest.fixture(scope="session")
def engine(client: Any) -> DockerEngine:
    """The engine as the project talks to it."""
    return DockerEngine(client, read_site(os.environ), "auto")


@pytest.fixture
def dlmatrix(client: Any) -> Dlmatrix:
    """Run the command line in a checkout; a traceback is never right."""

    def run(*arguments: str, cwd: Path = ROOT, **changes: str) -> Ran:
        done = subprocess.run(
            command(*arguments), cwd=cwd, env=environment(**changes), capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what builds need, to break."""
    copy = tmp_path / "checkout"
    for folder in ("docker", "envs", "smoke"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy
