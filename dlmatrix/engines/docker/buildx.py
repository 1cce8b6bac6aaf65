"""Runs a build; the failures that have a name are raised as what they are."""

from __future__ import annotations

from collections.abc import Sequence

from dlmatrix.engines.docker.relay import run_docker
from dlmatrix.engines.failures import explain, vanished
from dlmatrix.matrix.local import Local
from dlmatrix.system.process import Say


def buildx(
    command: Sequence[str],
    name: str,
    *,
    say: Say = lambda line: None,
    where: str = "the Docker engine",
    local: Local | None = None,
) -> None:
    """Run a ``docker buildx`` command for the env or image of that name.

    ``where`` says where it writes, ``local`` which files were at hand.
    """
    done = run_docker(command, say=say)
    if done.exit_code != 0 and vanished(done.said):
        say("the engine deleted a layer meanwhile: the same build once more")
        done = run_docker(command, say=say)
    if done.exit_code != 0:
        raise explain(done.said, name, where, done.exit_code, local)
