"""A busy engine is told from one that went away, and from one that refuses."""

from __future__ import annotations

import docker
import pytest
import requests

from dlmatrix.engines.docker.answers import engine_errors
from dlmatrix.errors import BuildError, DiskFullError, DlmatrixError, EngineError


@pytest.mark.parametrize(
    ("raised", "kind", "says", "next_step"),
    [
        (requests.exceptions.ReadTimeout("Read timed out. (read timeout=600)"), EngineError, "is there", "it is busy"),
        (requests.exceptions.ConnectionError("UnixHTTP: Read timed out."), EngineError, "did not answer", "it is busy"),
        (requests.exceptions.ConnectionError("Connection refused"), EngineError, "went away", "start it again"),
        (ConnectionResetError(104, "reset by peer"), EngineError, "went away", "start it again"),
        (docker.errors.DockerException("no socket"), EngineError, "went away: no socket", "start it again"),
        (docker.errors.APIError("no such image"), BuildError, "refused: no such image", "docker info"),
        (docker.errors.APIError("write /x: no space left on device"), DiskFullError, "full", ""),
        (docker.errors.APIError("mkdir /x: read-only file system"), DiskFullError, "read-only", ""),
        (docker.errors.APIError("nvidia-container-cli: /x: read-only file system"), BuildError, "refused", ""),
    ],
)
def test_what_it_means_that_an_answer_is_none(
    raised: Exception, kind: type[DlmatrixError], says: str, next_step: str
) -> None:
    with pytest.raises(kind) as error, engine_errors():
        raise raised
    assert says in error.value.message
    assert next_step in error.value.next_step
