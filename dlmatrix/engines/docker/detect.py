"""The container that the doctor starts: an env's image, GPUs asked for, only detection run in it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import docker

from dlmatrix.engines.docker.container import confined
from dlmatrix.engines.docker.gpus import first_to_start, ways
from dlmatrix.errors import EngineError, GpuRefusedError
from dlmatrix.gpu.examination import Started
from dlmatrix.matrix.plan import Limits


def detect_in_container(
    client: Any, image: str, arguments: Sequence[str], *, gpus: Sequence[str], seconds: int
) -> Started | None:
    """Run `python -m smoke.detect ARGUMENTS` in `image` with GPUs, as confined as the checks are.

    None where the image is not on the engine. A refusal to start is an answer; an engine that goes away raises
    EngineError. The container is always removed.
    """
    command = ["-m", "smoke.detect", *arguments]
    options = confined(image, command, Limits(), entrypoint="python", keeps_output=True)
    made: list[Any] = []

    def start(more: Mapping[str, Any]) -> None:
        made.append(client.containers.create(**options, **more))
        made[-1].start()

    try:
        info, version = client.info(), client.version()
        about = {"system": str(info.get("OperatingSystem", "")), "folder": str(info.get("DockerRootDir", ""))}
        client.images.get(image)
        try:
            given = first_to_start(start, ways(info, version, gpus))
        except GpuRefusedError as refused:
            return Started(error=refused.message, stdout=b"", **about)
        except docker.errors.APIError as refusal:
            return Started(error=str(refusal.explanation or refusal), stdout=b"", **about)
        made[-1].wait(timeout=seconds)
        return Started(error="", stdout=made[-1].logs(stdout=True, stderr=False), gpus=given, **about)
    except docker.errors.ImageNotFound:
        return None
    except (docker.errors.DockerException, OSError) as error:
        raise EngineError(f"the Docker engine went away: {error}", "`docker version` must answer") from None
    finally:
        for container in made:
            with contextlib.suppress(Exception):  # where the engine is gone, the error above says so
                container.remove(force=True, v=True)
