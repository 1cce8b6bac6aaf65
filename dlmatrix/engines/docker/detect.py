"""The container that the doctor starts: an env's image, every GPU asked for, only detection run in it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import docker

from dlmatrix.errors import EngineError
from dlmatrix.gpu.examination import Started
from dlmatrix.matrix.plan import USER


def detect_in_container(client: Any, image: str, arguments: Sequence[str], seconds: int) -> Started | None:
    """Run `python -m smoke.detect ARGUMENTS` in `image` with all GPUs, as confined as the checks are.

    None where the image is not on the engine. A refusal to start is an answer; an engine that goes away raises
    EngineError. The container is always removed.
    """
    container = None
    try:
        info = client.info()
        about = {"system": str(info.get("OperatingSystem", "")), "folder": str(info.get("DockerRootDir", ""))}
        client.images.get(image)
        try:
            container = client.containers.create(
                image,
                command=["-m", "smoke.detect", *arguments],
                entrypoint=["python"],
                user=USER,
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": "rw,nosuid,nodev,mode=1777"},  # noqa: S108 - inside the container
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                pids_limit=512,
                log_config=docker.types.LogConfig(type="json-file"),  # the engine's default may keep no output
                device_requests=[docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])],
            )
            container.start()
        except docker.errors.APIError as refusal:
            return Started(error=str(refusal.explanation or refusal), stdout=b"", **about)
        container.wait(timeout=seconds)
        return Started(error="", stdout=container.logs(stdout=True, stderr=False), **about)
    except docker.errors.ImageNotFound:
        return None
    except (docker.errors.DockerException, OSError) as error:
        raise EngineError(f"the Docker engine went away: {error}", "`docker version` must answer") from None
    finally:
        if container is not None:
            with contextlib.suppress(Exception):  # where the engine is gone, the error above says so
                container.remove(force=True, v=True)
