"""Refreshing the bases' digests; the docker client is a stand-in that answers as buildx does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.errors import BuildError, ConfigError, EngineError, NetworkError
from dlmatrix.upkeep.pin import pin

OLD, NEW = "a" * 64, "b" * 64
TOML = f"""[python."3.11"]
image = "python@sha256:{OLD}" # python:3.11-slim-bookworm (3.11.16)
debian.suite = "bookworm"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "bases.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client that prints the file ``answer`` for the tag it is asked for, or fails with ``error``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    client = folder / "docker"
    client.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > "{folder}/asked"\n'
        f'[ -e "{folder}/error" ] && {{ cat "{folder}/error" >&2; exit 1; }}\n'
        f'cat "{folder}/answer"\n'
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def answer(docker: Path, digest: str, python: str = "3.11.16") -> None:
    config = {"config": {"Env": ["PATH=/usr/local/bin", f"PYTHON_VERSION={python}"]}}
    document = {"manifest": {"digest": f"sha256:{digest}"}, "image": {"linux/amd64": config, "linux/arm64": config}}
    (docker / "answer").write_text(json.dumps(document))


def test_unchanged(checkout: Path, docker: Path) -> None:
    answer(docker, OLD)
    said: list[str] = []
    assert pin(checkout, write=True, say=said.append) is False
    assert said == ["python:3.11-slim-bookworm: unchanged"]
    asked = (docker / "asked").read_text().split()
    assert asked[:4] == ["buildx", "imagetools", "inspect", "python:3.11-slim-bookworm"]


def test_shows_a_diff_and_writes_only_when_told(checkout: Path, docker: Path) -> None:
    answer(docker, NEW, "3.11.17")
    said: list[str] = []
    file = checkout / "envs" / "bases.toml"
    assert pin(checkout, write=False, say=said.append) is True
    assert f'+image = "python@sha256:{NEW}" # python:3.11-slim-bookworm (3.11.17)' in said[-1]
    assert file.read_text() == TOML
    assert pin(checkout, write=True, say=said.append) is True
    assert file.read_text() == TOML.replace(OLD, NEW).replace("3.11.16", "3.11.17")


def test_no_registry(checkout: Path, docker: Path) -> None:
    (docker / "error").write_text("ERROR: failed to do request: dial tcp: lookup registry.example: no such host\n")
    with pytest.raises(NetworkError, match=r"no registry answers for python:3\.11-slim-bookworm.*no such host"):
        pin(checkout, write=True, say=print)
    assert (checkout / "envs" / "bases.toml").read_text() == TOML


def test_a_tag_that_is_gone(checkout: Path, docker: Path) -> None:
    (docker / "error").write_text("ERROR: registry.example/library/python:3.11-slim-bookworm: not found\n")
    with pytest.raises(ConfigError, match="the registry has no python"):
        pin(checkout, write=True, say=print)


def test_no_buildx(checkout: Path, docker: Path) -> None:
    (docker / "error").write_text("docker: unknown command: docker buildx\n\nRun docker --help\n")
    with pytest.raises(EngineError, match="docker has no buildx"):
        pin(checkout, write=True, say=print)


def test_an_answer_that_is_none(checkout: Path, docker: Path) -> None:
    (docker / "answer").write_text('{"manifest": {}}')
    with pytest.raises(BuildError, match="something else than expected"):
        pin(checkout, write=True, say=print)


def test_no_docker_client(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(EngineError, match="no docker command"):
        pin(checkout, write=True, say=print)


def test_every_base_is_pinned_with_its_tag(root: Path, docker: Path) -> None:
    answer(docker, NEW, "")
    said: list[str] = []
    assert pin(root, write=False, say=said.append) is True
    pythons = ("3.7", "3.9", "3.10", "3.11", "3.12", "3.13")
    assert [line.partition(":")[2].partition("-")[0] for line in said[:-1]] == list(pythons)
