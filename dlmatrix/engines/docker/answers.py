"""What the engine's answers mean, and what it means that none comes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import docker

from dlmatrix.engines.failures import explain
from dlmatrix.errors import BuildError, EngineError

#: Seconds that the engine has for an answer. Beside builds, on a machine with ten times more to do than processors,
#: more than 60 were seen.
ANSWERS_WITHIN = 600


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the SDK's and the connection's errors into one that says what to do."""
    import requests  # noqa: PLC0415 - the SDK's own dependency

    try:
        yield
    except docker.errors.APIError as error:
        said = str(error.explanation or error)
        raise (
            explain(said, "container", "the Docker engine")
            if re.search("space left|^(?!.*nvidia).*(read-only file system|input/output error)", said, re.I)
            else BuildError(f"the Docker engine refused: {said}", "`docker version` and `docker info` show its state")
        ) from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        # Between two pieces of a stream the SDK hands on urllib3's own, as a connection error.
        if isinstance(error, requests.exceptions.Timeout) or "Read timed out" in str(error):
            raise EngineError(
                f"the Docker engine is there and did not answer within {ANSWERS_WITHIN} s",
                "it is busy: wait for its other work (`docker ps`, `docker system df`), then run the same command",
            ) from None
        raise EngineError(
            f"the Docker engine went away: {first_line(error)}",
            "start it again (`docker version` must answer), then run the same command",
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]
