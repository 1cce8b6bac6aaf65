"""Which wheels machines are sent, and where they come from: of a bundle or a folder alone where those have them all."""

from __future__ import annotations

import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from dlmatrix.bundle.manifest import Manifest
from dlmatrix.fleet.order import Part
from dlmatrix.fleet.parts import smoke_part
from dlmatrix.fleet.site import Asked, make_order
from dlmatrix.fleet.wheels import envs_part, tools_part
from dlmatrix.matrix.load import load_matrix, select


def wheel(folder: Path, name: str) -> str:
    """A wheel that installs nothing, and its SHA-256."""
    distribution, version = name.split("-")[:2]
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{distribution}-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as packed:
        packed.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def lock(file: Path, *pins: tuple[str, str]) -> None:
    file.write_text("".join(f"{pin} --hash=sha256:{digest}\n" for pin, digest in pins), encoding="utf-8")


@pytest.fixture
def alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose settings name no index, with neither pip nor, by its proxy, a network."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.chdir(checkout)
    return checkout


def of(part: Part) -> list[str]:
    with tarfile.open(part.file) as tar:
        return tar.getnames()


def test_in_a_room_without_a_network_the_tools_are_those_of_the_bundle(alone: Path, tmp_path: Path) -> None:
    """They were asked of an index by pip, which an environment that a bundle has set up has not."""
    digest = wheel(alone / "bundle" / "wheels", "one-1-py3-none-any.whl")
    manifest = Manifest(envs={}, versions={"pythons": "3.11 3.12"}, members=())
    (alone / "bundle" / "manifest.json").write_bytes(manifest.text())
    pins = ("one==1", "two==2; python_full_version < '3.10'", "three==3; sys_platform == 'win32'")
    lock(alone / "envs" / "locks" / "machine.txt", *((pin, digest) for pin in pins))
    assert of(tools_part(alone, tmp_path, print)) == ["one-1-py3-none-any.whl", "requirements.txt"]


def test_an_env_with_sources_is_sent_with_what_they_are_built_with(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip was told to take wheels alone, and the env of TensorFlow 1 could not be sent at all."""
    links = alone.parent / "links"
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    one, tool = (wheel(links, f"{name}-py3-none-any.whl") for name in ("tensorflow-1.15.5", "tool-1"))
    lock(alone / "envs" / "locks" / "cpu-tf1-1.15.txt", ("tensorflow==1.15.5", one))
    lock(alone / "envs" / "locks" / "cpu-tf1-1.15.build.txt", ("tool==1", tool))
    matrix = load_matrix(alone)
    sent = envs_part(matrix, select(matrix, ["cpu-tf1-1.15"]), tmp_path, print)
    assert of(sent) == ["tensorflow-1.15.5-py3-none-any.whl", "tool-1-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("engine", "images", "needed"),
    [
        ("auto", False, "a Docker engine that has the base image of Python 3.11, or, without one, that Python"),
        ("docker", False, "the base image of Python 3.11, in its engine"),
        ("docker", True, ""),
        ("venv", False, "Python 3.11"),
    ],
)
def test_what_wheels_do_not_bring_is_told_before_a_machine_is_touched(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, engine: str, images: bool, needed: str
) -> None:
    """A lab of machines without a network learned it from each of them, once 250 MB had been sent there."""
    for name in ("tools_part", "envs_part"):
        monkeypatch.setattr(f"dlmatrix.fleet.site.{name}", lambda *_: smoke_part(checkout, tmp_path))
    monkeypatch.setattr("dlmatrix.fleet.site.image_parts", lambda *_: ())
    told: list[str] = []
    asked = Asked(envs=("cpu-torch",), engine=engine, offline=True, images=images)
    make_order(checkout, asked, tmp_path, told.append)
    said = f"cpu-torch-2.13: no index is asked there; not sent, and needed there: {needed}"
    assert told == ([said] if needed else [])
