"""The engine dies in the middle. Only the engine that .ci/engine started is ever killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.support import ROOT, Dlmatrix, command, containers, environment, outcomes

CELL = "cpu-torch-2.13"
SCRIPT = str(ROOT / ".ci" / "engine")


@pytest.fixture
def own_engine(client: Any) -> Iterator[Path]:
    """The engine's folder, if it is ours to kill; it runs again afterwards."""
    wanted = subprocess.run([SCRIPT, "env"], capture_output=True, text=True, check=True).stdout
    host = os.environ.get("DOCKER_HOST", "")
    if not host or f"DOCKER_HOST={host}\n" not in wanted:
        pytest.skip("the engine that answers was not started by .ci/engine, so it is not ours to kill")
    if os.environ.get("CI") != "true" or "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("kills the engine, which others may be using: CI=true and a pytest of its own say that nobody is")
    yield Path(host.removeprefix("unix://")).parent
    subprocess.run([SCRIPT, "start"], check=True, capture_output=True)


def kill(folder: Path) -> None:
    """End the engine's namespaces, and with them the daemon and every container, at once."""
    os.kill(int((folder / "holder.pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["building", "running"])
def test_the_engine_is_killed(moment: str, own_engine: Path, checkout: Path, client: Any, dlmatrix: Dlmatrix) -> None:
    if moment == "building":
        finish = checkout / "docker" / "finish-env"
        finished = finish.read_text()
        finish.write_text(f"{finished}tail -f /dev/null\n")  # a build that does not end before the engine does
        expected_line = " plan "
    else:
        assert dlmatrix("run", CELL, "--engine", "docker", "--report", str(checkout / "before"), cwd=checkout).code == 0
        expected_line = " check "
    arguments = command("run", CELL, "--engine", "docker", "--report", str(checkout / "report"))
    with subprocess.Popen(
        arguments, cwd=checkout, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout
        next(line for line in run.stdout if expected_line in line)
        if moment == "building":
            _wait_for_build(checkout)
        kill(own_engine)
        rest = run.stdout.read()
    assert run.returncode == 4, rest
    assert "Traceback" not in rest
    assert "went away" in rest
    assert outcomes(checkout / "report") == [(CELL, "error")]
    assert not list((checkout / ".dlmatrix").glob("tmp-*"))

    if moment == "building":
        finish.write_text(finished)
    subprocess.run([SCRIPT, "start"], check=True, capture_output=True)
    again = dlmatrix("run", CELL, "--engine", "docker", "--report", str(checkout / "again"), cwd=checkout)
    assert again.code == 0, again.out + again.err
    assert containers(client, checkout) == []


def _wait_for_build(checkout: Path) -> None:
    """Return once buildx runs for this checkout; the test's own time limit ends a wait for nothing."""
    while subprocess.run(["pgrep", "-f", f"buildx build.*{checkout}"], capture_output=True, check=False).returncode:
        pass
