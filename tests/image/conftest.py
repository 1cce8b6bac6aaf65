"""Image tests run on a real Docker engine. Where none answers they are skipped, and say how to start one."""

from __future__ import annotations

import os
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.image)


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
