"""What keeps a Docker engine from being used is called by its name, and never a build that failed."""

from __future__ import annotations

import pytest

from dlmatrix.engines.docker import images as module
from dlmatrix.engines.docker.images import Images
from dlmatrix.engines.docker.surroundings import refuse_surroundings
from dlmatrix.engines.failures import explain
from dlmatrix.errors import DiskFullError, DlmatrixError, EngineError
from dlmatrix.system.process import Finished

PLATFORM, VERSION = "DOCKER_DEFAULT_PLATFORM", "DOCKER_API_VERSION"
#: What Docker 28.5.2 says.
TOO_OLD = (
    "ERROR: failed to build: Error response from daemon: client version 1.10 is too old. Minimum supported API version "
    "is 1.24, please upgrade your client to a newer version: driver not connecting"
)
TOO_NEW = "docker: Error response from daemon: client version 1.99 is too new. Maximum supported API version is 1.51"
NOT_FOUND = (
    'docker: Error response from daemon: failed to create task for container: exec: "find": executable file not found '
    "in $PATH\n\nRun 'docker run --help' for more information"
)


@pytest.mark.parametrize("value", ["linux/arm64", "linux/arm64/v8", "windows/amd64", "linux/amd6"])
def test_another_platform_is_refused_by_the_variable_s_name(value: str) -> None:
    with pytest.raises(EngineError) as error:
        refuse_surroundings({PLATFORM: value})
    assert f"{PLATFORM}={value} is set" in error.value.message
    assert error.value.next_step == f"unset {PLATFORM}"


@pytest.mark.parametrize("value", ["", "linux/amd64", "linux/amd64/v3", "Linux/x86_64"])
def test_the_envs_own_platform_may_be_named(value: str) -> None:
    refuse_surroundings({PLATFORM: value})
    refuse_surroundings({})


@pytest.mark.parametrize("value", ["banana", "1", "v1.43", "1.43; true"])
def test_a_version_that_is_none_is_refused_by_the_variable_s_name(value: str) -> None:
    with pytest.raises(EngineError) as error:
        refuse_surroundings({VERSION: value})
    assert f"{VERSION}={value} is set" in error.value.message
    assert error.value.next_step == f"unset {VERSION}"
    refuse_surroundings({VERSION: "1.43"})


@pytest.mark.parametrize(("said", "version"), [(TOO_OLD, "1.10"), (TOO_NEW, "1.99")])
def test_a_version_of_the_api_that_the_engine_has_not_is_named(said: str, version: str) -> None:
    error = explain(said, "cpu-x", "the Docker engine")
    assert isinstance(error, EngineError)
    assert f"version {version} of the engine's API" in error.message
    assert "unset DOCKER_API_VERSION" in error.next_step


@pytest.mark.parametrize(
    ("said", "code", "kind", "message"),
    [
        (NOT_FOUND, 127, EngineError, "could not look into base:1: find ended with exit code 127: docker: Error"),
        ("", -9, EngineError, "could not look into base:1: find ended with exit code -9: find said nothing"),
        ("write /x: no space left on device", 1 + 124, DiskFullError, "the disk is full"),
        (TOO_NEW, 125, EngineError, "version 1.99"),
    ],
)
def test_a_look_into_an_image_that_fails_is_no_build(
    monkeypatch: pytest.MonkeyPatch, said: str, code: int, kind: type[DlmatrixError], message: str
) -> None:
    monkeypatch.setattr(
        module,
        "run_docker",
        lambda *arguments, **more: Finished(exit_code=code, stdout=b"", said=said, timed_out=False),
    )
    with pytest.raises(kind) as error:
        Images(None).look("base:1", "find", "/")
    assert message in error.value.message
    assert "build" not in error.value.message
