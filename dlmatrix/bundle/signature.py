"""A detached signature over a bundle's manifest, and by it over every member: by ssh-keygen or by minisign."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.errors import BundleError, UsageError

#: What ssh-keygen binds a signature to, so that one made for something else is none of a bundle.
NAMESPACE = "dlmatrix-bundle"
_WHO = "bundle"
_ENDINGS = {"ssh-keygen": ".sig", "minisign": ".minisig"}


def check_key(key: Path) -> None:
    """Whether there is such a key, and the tool that it is for: before a bundle is written. Raises UsageError."""
    _tool(key)


def sign(manifest: bytes, bundle: Path, key: Path) -> Path:
    """Sign with a secret key, of ssh-keygen or of minisign; the tool asks for its password. Returns the file."""
    tool = _tool(key)
    target = bundle.with_name(bundle.name + _ENDINGS[tool])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "manifest.json")
        file.write_bytes(manifest)
        made = Path(folder, "signature")
        if tool == "minisign":
            command = [tool, "-S", "-s", str(key), "-m", str(file), "-x", str(made), "-t", NAMESPACE]
        else:
            command, made = [tool, "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file)], Path(f"{file}.sig")
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0 or not made.is_file():
            raise UsageError(f"{key}: {tool} did not sign with it (it says why above)", "name a secret key: --sign KEY")
        shutil.copyfile(made, target)
    return target


def check(manifest: bytes, bundle: Path, key: Path | None) -> str:
    """Hold the signature beside a bundle against a public key; returns what holds, in words. Raises BundleError.

    Where no key is given, nothing is checked, and the words say so.
    """
    if key is None:
        return _unchecked(bundle)
    tool = _tool(key)
    signature = bundle.with_name(bundle.name + _ENDINGS[tool])
    if not signature.is_file():
        raise BundleError(f"{signature}: a key is given, and the bundle's signature is not here", "copy it beside it")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "manifest.json")
        file.write_bytes(manifest)
        if tool == "minisign":
            command: Sequence[str] = [tool, "-V", "-q", "-p", str(key), "-m", str(file), "-x", str(signature)]
        else:
            allowed = Path(folder, "allowed")
            allowed.write_text(f"{_WHO} {key.read_text(encoding='utf-8').strip()}\n", encoding="utf-8")
            command = [tool, "-Y", "verify", "-f", str(allowed), "-I", _WHO, "-n", NAMESPACE, "-s", str(signature)]
        with file.open("rb") as stdin:
            done = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        raise BundleError(
            f"{bundle}: the signature is not this key's over this bundle: {said[-1] if said else tool}",
            "do not use it: ask who made it for bundle and key",
        )
    return f"signed by the owner of {key} ({tool})"


def _unchecked(bundle: Path) -> str:
    found = [ending for ending in _ENDINGS.values() if bundle.with_name(bundle.name + ending).is_file()]
    if found:
        return f"signature: {bundle.name}{found[0]} was not checked: name the public key with --key"
    return "signature: none was checked: whoever made the bundle is not known by it"


def _tool(key: Path) -> str:
    """Which tool a key is for: minisign's begin with a comment of this name."""
    try:
        with key.open("rb") as stream:
            tool = "minisign" if stream.read(17) == b"untrusted comment" else "ssh-keygen"
    except OSError as error:
        raise UsageError(f"{key}: {error.strerror}", "name a key's file") from None
    if shutil.which(tool) is None:
        package = "openssh-client" if tool == "ssh-keygen" else tool
        raise UsageError(f"{key}: {tool}, which this key is for, is not here", f"install it: {package}")
    return tool
