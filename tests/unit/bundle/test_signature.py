"""Signatures: by ssh-keygen, and by minisign where it is; checked where a key is given, said where it is not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.bundle.reader import Bundle
from dlmatrix.bundle.signature import NAMESPACE, sign
from dlmatrix.bundle.use import use_bundle
from dlmatrix.matrix.load import lock_of, select
from dlmatrix.matrix.model import Matrix
from dlmatrix.system.checkout import BUNDLE_VARIABLE
from tests.unit.bundle.forge import FILES, sound
from tests.unit.bundle.test_using import bundle_of

Cli = Callable[..., tuple[int, str, str]]
Key = tuple[Path, Path]


@pytest.fixture(params=["ssh-keygen", "minisign"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Key]:
    tool = request.param
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool} on this machine")

    def make(name: str) -> Key:
        secret, public = tmp_path / name, tmp_path / f"{name}.pub"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(secret)]
        if tool == "minisign":
            command = ["minisign", "-G", "-W", "-s", str(secret), "-p", str(public)]
        subprocess.run(command, check=True, capture_output=True)
        return secret, public

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "x.bundle").write_bytes(sound())
    return tmp_path / "x.bundle"


def signed(file: Path, key: Path) -> Path:
    with Bundle(file) as bundle:
        return sign(bundle.signed, file, key)


def test_the_owner_s_signature_is_taken(keys: Callable[[str], Key], file: Path, tmp_path: Path, cli: Cli) -> None:
    secret, public = keys("mine")
    signed(file, secret)
    code, out, _ = cli("unbundle", str(file), str(tmp_path / "new"), "--key", str(public))
    assert code == 0
    assert f"signed by the owner of {public}" in out


@pytest.mark.parametrize("verb", [["run", "--bundle"], ["reproduce", "--against-bundle"]])
def test_a_bundle_of_another_is_not_used(
    verb: list[str], keys: Callable[[str], Key], checkout: Path, matrix: Matrix, cli: Cli
) -> None:
    (env,) = select(matrix, ["cpu-torch-2.13"])
    file = bundle_of(checkout / "y.bundle", {"bundle/x": b"x"}, {env.name: lock_of(matrix, env).sha256})
    signed(file, keys("mine")[0])
    code, _, err = cli(*verb, str(file), "cpu-torch-2.13", "--key", str(keys("other")[1]))
    assert code == 20
    assert "the signature is not this key's over this bundle" in err
    assert not (checkout / ".dlmatrix" / "bundles").exists(), "nothing of it was unpacked"
    code, _, err = cli(verb[0], "cpu-torch-2.13", "--key", str(keys("more")[1]))
    assert (code, f"--key is for {verb[1]}" in err) == (2, True)


def test_a_bundle_of_the_owner_is_used(
    keys: Callable[[str], Key], checkout: Path, tmp_path: Path, matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUNDLE_VARIABLE, "")
    (env,) = select(matrix, ["cpu-torch-2.13"])
    file = bundle_of(tmp_path / "y.bundle", {"bundle/x": b"x"}, {env.name: lock_of(matrix, env).sha256})
    secret, public = keys("mine")
    signed(file, secret)
    said: list[str] = []
    use_bundle(replace(matrix, root=checkout), file, [env], said.append, key=public)
    assert said[0].startswith(f"signed by the owner of {public}")
    assert not any("none was checked" in line or "was not checked" in line for line in said)


def test_another_s_signature_is_refused(keys: Callable[[str], Key], file: Path, tmp_path: Path, cli: Cli) -> None:
    signed(file, keys("mine")[0])
    code, _, err = cli("unbundle", str(file), str(tmp_path / "new"), "--key", str(keys("other")[1]))
    assert code == 20
    assert "the signature is not this key's over this bundle" in err
    assert not (tmp_path / "new").exists()


def test_one_over_another_bundle_is_refused(keys: Callable[[str], Key], file: Path, tmp_path: Path, cli: Cli) -> None:
    secret, public = keys("mine")
    signed(file, secret)
    file.write_bytes(sound({**FILES, "README.md": b"another"}))
    code, _, err = cli("unbundle", str(file), str(tmp_path / "new"), "--key", str(public))
    assert code == 20
    assert "the signature is not this key's over this bundle" in err


def test_a_key_without_a_signature_is_refused(keys: Callable[[str], Key], file: Path, tmp_path: Path, cli: Cli) -> None:
    code, _, err = cli("unbundle", str(file), str(tmp_path / "new"), "--key", str(keys("mine")[1]))
    assert (code, "the bundle's signature is not here" in err) == (20, True)


def test_what_is_not_checked_is_said(keys: Callable[[str], Key], file: Path, tmp_path: Path, cli: Cli) -> None:
    assert "signature: none was checked" in cli("unbundle", str(file), str(tmp_path / "one"))[1]
    signed(file, keys("mine")[0])
    assert "was not checked: name the public key with --key" in cli("unbundle", str(file), str(tmp_path / "two"))[1]


def test_a_signature_for_something_else_is_none(file: Path, tmp_path: Path, cli: Cli) -> None:
    """Whoever signs with the same key in another namespace, for git say, has not signed a bundle."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with Bundle(file) as bundle:
        text = tmp_path / "manifest"
        text.write_bytes(bundle.signed)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "git", str(text)], check=True)
    (tmp_path / "manifest.sig").rename(tmp_path / "x.bundle.sig")
    assert NAMESPACE != "git"
    code, _, err = cli("unbundle", str(file), str(tmp_path / "new"), "--key", f"{key}.pub")
    assert (code, "the signature is not" in err) == (20, True)


def test_a_key_that_is_none(file: Path, tmp_path: Path, cli: Cli) -> None:
    code, _, err = cli("unbundle", str(file), str(tmp_path / "new"), "--key", str(tmp_path / "none"))
    assert (code, "No such file" in err) == (2, True)


def test_a_key_that_is_none_is_told_before_anything_is_collected(tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "x.bundle"
    code, said, err = cli("bundle", "cpu-torch", "--no-images", "--out", str(out), "--sign", str(tmp_path / "none"))
    assert (code, said, f"{tmp_path / 'none'}: No such file" in err) == (2, "", True)


def test_a_folder_is_no_file_to_write(tmp_path: Path, cli: Cli) -> None:
    code, said, err = cli("bundle", "cpu-torch", "--no-images", "--out", str(tmp_path))
    assert (code, said, f"{tmp_path} is a folder" in err) == (2, "", True)
