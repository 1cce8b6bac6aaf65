"""The container that the doctor starts: an env's image, GPUs asked for, only detection run in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import docker

from dlmatrix.engines.docker.answers import engine_errors
from dlmatrix.engines.docker.container import confined
from dlmatrix.engines.docker.gpus import first_to_start, ways
from dlmatrix.errors import GpuRefusedError
from dlmatrix.gpu.examination import Started
from dlmatrix.matrix.plan import Limits
from dlmatrix.system.bounded import LINE, Pieces
from dlmatrix.system.process import signals_held
from dlmatrix.system.working import labels

#: Seconds for what an ended container wrote last to be handed on.
_LAST_WORDS = 2.0


def detect_in_container(
    client: Any,
    image: str,
    arguments: Sequence[str],
    *,
    gpus: Sequence[str],
    seconds: int,
    hear: Callable[[str], None] | None = None,
) -> Started | None:
    """Run `python -m smoke.detect ARGUMENTS` in `image` with GPUs, as confined as the checks are.

    `hear` is given the lines of its stderr as they come. None where the image is not on the engine. A refusal to start
    is an answer; an engine that goes away raises EngineError. The container is always removed.
    """
    command = ["-m", "smoke.detect", *arguments]
    options = confined(image, command, Limits(), entrypoint="python", keeps_output=True)
    options["labels"] = labels()
    made: list[Any] = []

    def start(more: Mapping[str, Any]) -> None:
        with signals_held():  # the engine may have made it before its answer is here
            made.append(client.containers.create(**options, **more))
        made[-1].start()

    try:
        with engine_errors():
            info, version = client.info(), client.version()
            about = {"system": str(info.get("OperatingSystem", "")), "folder": str(info.get("DockerRootDir", ""))}
            try:
                client.images.get(image)
                given = first_to_start(start, ways(info, version, gpus))
            except docker.errors.ImageNotFound:
                return None
            except GpuRefusedError as refused:
                return Started(error=refused.message, stdout=b"", **about)
            except docker.errors.APIError as refusal:
                return Started(error=str(refusal.explanation or refusal), stdout=b"", **about)
            reader = threading.Thread(target=_follow, args=(made[-1], hear), daemon=True)
            if hear is not None:
                reader.start()
            made[-1].wait(timeout=seconds)
            if hear is not None:
                reader.join(_LAST_WORDS)
            printed = Pieces()
            for piece in made[-1].logs(stdout=True, stderr=False, stream=True):
                printed.append(piece)
            return Started(error="", stdout=printed.whole(), gpus=given, **about)
    finally:
        for container in made:
            with contextlib.suppress(Exception):  # where the engine is gone, the error above says so
                container.remove(force=True, v=True)


def _follow(container: Any, hear: Callable[[str], None]) -> None:
    rest = b""
    with contextlib.suppress(Exception):  # what is not heard now stands in the document all the same
        for piece in container.logs(stdout=False, stderr=True, stream=True, follow=True):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                hear(line.decode("utf-8", "replace"))
