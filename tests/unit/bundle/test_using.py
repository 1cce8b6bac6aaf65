"""An unpacked bundle is a site: its wheels go before all others, .venv is made of them, a run can be given one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import pytest

from dlmatrix.bundle.manifest import Manifest
from dlmatrix.bundle.use import use_bundle
from dlmatrix.errors import BundleError, UsageError
from dlmatrix.inspection.digests import Identity, Made, Record
from dlmatrix.matrix.load import lock_of, select
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.site import read_site
from dlmatrix.system.checkout import BUNDLE_VARIABLE
from tests.unit.bundle.forge import MAIN, body, members, tail

Cli = Callable[..., tuple[int, str, str]]


def sums(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def bundle_of(file: Path, files: dict[str, bytes], envs: dict[str, str], **versions: str) -> Path:
    listed = members(files)
    facts = {name: {"lock": lock} for name, lock in envs.items()}
    text = Manifest(envs=facts, versions=versions, members=listed, start=sums(MAIN)).text()
    file.write_bytes(body(listed, list(files.values())) + tail(text))
    return file


def test_the_wheels_of_the_bundle_in_use_are_before_all_others(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    environ = {"HOME": str(tmp_path), "UV_FIND_LINKS": str(tmp_path / "mine")}
    assert read_site(environ).find_links == (tmp_path / "mine",)
    (checkout / "bundle" / "wheels").mkdir(parents=True)
    assert read_site(environ).find_links == (tmp_path / "mine",), "a folder of that name alone is no bundle"
    (checkout / "bundle" / "manifest.json").write_text("{}")
    assert read_site(environ).find_links == (checkout / "bundle" / "wheels", tmp_path / "mine")
    named = tmp_path / "named"
    (named / "bundle" / "wheels").mkdir(parents=True)
    (named / "bundle" / "manifest.json").write_text("{}")
    monkeypatch.setenv(BUNDLE_VARIABLE, str(named))
    assert read_site(environ).find_links == (named / "bundle" / "wheels", tmp_path / "mine")


@pytest.fixture
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUNDLE_VARIABLE, "")


def test_a_run_takes_wheels_of_a_bundle_and_nothing_of_its_checkout(
    matrix: Matrix, checkout: Path, tmp_path: Path, nothing_named: None
) -> None:
    matrix = replace(matrix, root=checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    files = {"README.md": b"its checkout", "bundle/wheels/one.whl": b"one"}
    file = bundle_of(tmp_path / "x.bundle", files, {env.name: lock_of(matrix, env).sha256})
    said: list[str] = []
    use_bundle(matrix, file, [env], said.append)
    folder = Path(os.environ[BUNDLE_VARIABLE])
    assert (folder / "bundle/wheels/one.whl").read_bytes() == b"one"
    assert not (folder / "README.md").exists()
    assert any(line.startswith("unpacking") for line in said)
    said.clear()
    use_bundle(matrix, file, [env], said.append)
    assert not any(line.startswith("unpacking") for line in said), "it is there"


def test_a_run_is_given_no_bundle_of_another_lock_or_env(matrix: Matrix, tmp_path: Path, nothing_named: None) -> None:
    (env,) = select(matrix, ["cpu-torch-2.13"])
    for envs, message in (({env.name: "0" * 64}, "by another lock"), ({"cpu-tf2-2.21": "0"}, "has no cpu-torch-2.13")):
        with pytest.raises(UsageError, match=message):
            use_bundle(matrix, bundle_of(tmp_path / "x.bundle", {"bundle/x": b"x"}, envs), [env], lambda line: None)
    assert os.environ[BUNDLE_VARIABLE] == ""


def test_verify_says_what_is_as_in_the_checkout_and_what_is_not(checkout: Path, tmp_path: Path, cli: Cli) -> None:
    def verified() -> tuple[int, str]:
        code, out, _ = cli("bundle", "--verify", str(tmp_path / "x.bundle"))
        return code, out

    lock = checkout / "envs" / "locks" / "cpu-torch-2.13.txt"
    files = {name: (checkout / name).read_bytes() for name in ("docker/Dockerfile", "smoke/schema.json")}
    envs = {"cpu-torch-2.13": hashlib.sha256(lock.read_bytes()).hexdigest()}
    bundle_of(tmp_path / "x.bundle", files, envs, uv=metadata.version("uv"))
    code, out = verified()
    assert (code, "cpu-torch-2.13: the same lock" in out) == (0, True)
    assert "checkout: 2 of 2 files are the same" in out
    (checkout / "docker" / "Dockerfile").write_text("FROM another\n")
    code, out = verified()
    assert (code, "changed: docker/Dockerfile" in out) == (1, True)
    (checkout / "smoke" / "schema.json").unlink()
    lock.write_text(lock.read_text() + "# more\n")
    code, out = verified()
    assert code == 1
    assert "not here: smoke/schema.json" in out
    assert "cpu-torch-2.13: another lock" in out
    bundle_of(tmp_path / "x.bundle", {}, envs, uv="0.0.1")
    assert "0.0.1 in the bundle" in verified()[1]


UV = """#!/bin/sh
echo "$*" >>"$(dirname "$0")/../../said"
env | grep -E '^(UV|PIP|PYTHON|VIRTUAL)' >>"$(dirname "$0")/../../said"
case "$*" in *" venv "*) for last; do :; done; mkdir -p "$last/bin"; touch "$last/bin/python" ;; esac
"""


def unpacked(folder: Path, pythons: str) -> Path:
    wheels = folder / "bundle" / "wheels"
    wheels.mkdir(parents=True)
    manifest = Manifest(envs={}, versions={"pythons": pythons}, members=())
    (folder / "bundle" / "manifest.json").write_bytes(manifest.text())
    with zipfile.ZipFile(wheels / "uv-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("uv-1.data/scripts/uv", UV)
    return folder


def set_up(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(root), "UV_INDEX_URL": "x", "PIP_INDEX_URL": "x", "VIRTUAL_ENV": "x"}
    command = [sys.executable, "-m", "dlmatrix.bundle.setup"]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_venv_is_made_of_the_bundle_alone_and_once(root: Path, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "room", f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert set_up(root, folder).returncode == 0
    assert (folder / ".venv" / ".tools").exists()
    made, installed, *more = (folder / "said").read_text().splitlines()
    assert "--no-python-downloads" in made
    assert f"--no-index --require-hashes --find-links {folder}/bundle/wheels" in installed
    assert "--no-config --offline" in installed
    assert more == [], "nothing of the user's settings"
    assert [one.name for one in (folder / "bundle").iterdir() if one.is_dir()] == ["wheels"], "nothing is left"
    assert set_up(root, folder).returncode == 0
    assert len((folder / "said").read_text().splitlines()) == 2


def test_a_python_that_the_bundle_has_no_tools_for_is_told(root: Path, tmp_path: Path) -> None:
    done = set_up(root, unpacked(tmp_path / "room", "3.99"))
    assert done.returncode == 1
    assert "the bundle's tools are for 3.99" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bundle_that_was_made_without_wheels_is_told(root: Path, tmp_path: Path) -> None:
    done = set_up(root, unpacked(tmp_path / "room", ""))
    assert done.returncode == 1
    assert "was made without wheels" in done.stderr


def test_a_bundle_whose_uv_is_gone_is_told(root: Path, tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "room", f"{sys.version_info[0]}.{sys.version_info[1]}")
    next((folder / "bundle" / "wheels").iterdir()).unlink()
    done = set_up(root, folder)
    assert done.returncode == 1
    assert "there is no uv" in done.stderr


def test_options_that_mean_nothing_are_refused(cli: Cli, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "x")]
    for arguments, message in (
        ((*out,), "no env is named"),
        (("cpu-torch", *out, "--key", "x"), "--key is for --verify"),
        (("cpu-torch", *out, "--pythons", "3.7"), "'3.7' is not one of"),
        (("cpu-torch", *out, "--volume", "0"), "no number of MB"),
        (("cpu-nothing", *out), "there is no env named cpu-nothing"),
        (("cpu-torch",), "one of the arguments"),
    ):
        code, _, err = cli("bundle", *arguments)
        assert (code, message in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("bundle", "--verify", "no.bundle"), ("unbundle", "no.bundle", "room")])
def test_a_bundle_that_is_not_there_is_a_slip_and_no_damage(cli: Cli, words: tuple[str, ...]) -> None:
    code, _, err = cli(*words)
    assert (code, "there is no bundle no.bundle" in err) == (2, True), err


def test_without_an_engine_the_command_that_needs_none_comes_first(checkout: Path, cli: Cli, tmp_path: Path) -> None:
    (checkout / "bundle").mkdir()
    (checkout / "bundle" / "manifest.json").write_bytes(Manifest(envs={}, versions={}, members=()).text())
    code, _, err = cli("bundle", "cpu-torch", "cpu-tf2", "--out", str(tmp_path / "x.bundle"), "--pythons", "3.11")
    message, _, last = err.partition("\n  next: ")
    assert (code, "no Docker engine answers on unix://" in message) == (4, True)
    assert last.startswith("leave images out: add --no-images; or start ")
    assert not (tmp_path / "x.bundle").exists()


def test_a_manifest_is_json_that_others_read(tmp_path: Path) -> None:
    file = bundle_of(tmp_path / "x.bundle", {"bundle/x": b"x"}, {"cpu-x-1": "0"})
    with zipfile.ZipFile(file) as packed:
        found = json.loads(packed.read("manifest.json"))
    assert found["format"] == 1
    assert found["members"][0]["path"] == "bundle/x"


def test_what_images_are_is_told_to_whoever_rebuilds_them(
    matrix: Matrix, checkout: Path, tmp_path: Path, nothing_named: None
) -> None:
    matrix = replace(matrix, root=checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    made = Made(buildkit="1", store="containerd", platform="linux/amd64")
    record = Record(identity=Identity(manifest="m", config="c", layers=("a", "b")), made=made, inputs={"lock": "l"})
    facts = {"lock": lock_of(matrix, env).sha256, "record": json.dumps(asdict(record))}
    text = Manifest(envs={env.name: facts}, versions={}, members=(), start=sums(MAIN)).text()
    (tmp_path / "x.bundle").write_bytes(body([], []) + tail(text))
    assert use_bundle(matrix, tmp_path / "x.bundle", [env], lambda line: None) == {env.name: record}
    for wrong in ("{", "[]", "{}", '{"identity": {}, "made": {}, "inputs": 1}'):
        facts["record"] = wrong
        text = Manifest(envs={env.name: facts}, versions={}, members=(), start=sums(MAIN)).text()
        (tmp_path / "x.bundle").write_bytes(body([], []) + tail(text))
        with pytest.raises(BundleError, match="what it says of its images is not understood"):
            use_bundle(matrix, tmp_path / "x.bundle", [env], lambda line: None)


def test_a_bundle_s_bases_are_not_rebuilt(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("reproduce", "base-3.11", "--against-bundle", str(tmp_path / "x.bundle"))
    assert (code, "bases only whole" in err) == (2, True)
