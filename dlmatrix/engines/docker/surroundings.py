"""What around this process keeps a Docker engine from being used, though one may answer."""

from __future__ import annotations

import re
from collections.abc import Mapping

import docker

from dlmatrix.errors import EngineError

PLATFORM, VERSION = "DOCKER_DEFAULT_PLATFORM", "DOCKER_API_VERSION"
#: What the variable may name: every env is for this platform.
_OURS = ("linux/amd64", "linux/x86_64")


def refuse_surroundings(environ: Mapping[str, str]) -> None:
    """Raise EngineError where the SDK is not there, or the docker command is told what makes it none."""
    if not hasattr(docker, "from_env"):
        raise EngineError(
            "the Docker SDK is not installed: `import docker` found the checkout's folder of that name",
            "install the project's tools: make setup",
        )
    if (version := environ.get(VERSION, "")) and not re.fullmatch(r"\d+\.\d+", version):
        raise EngineError(f"{VERSION}={version} is set, and is no version of the engine's API", f"unset {VERSION}")
    asked = environ.get(PLATFORM, "").lower()
    if asked and not f"{asked}/".startswith(tuple(f"{one}/" for one in _OURS)):
        raise EngineError(
            f"{PLATFORM}={environ[PLATFORM]} is set, and every env is for {_OURS[0]}", f"unset {PLATFORM}"
        )
