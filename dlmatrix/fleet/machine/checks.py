"""Runs on a machine of a fleet: makes an environment for dlmatrix out of the wheels that came along, then is dlmatrix.

    python3 checks.py TOOLS STATE WHEELS IMAGES run ENV ...

TOOLS is the folder of the wheels that dlmatrix itself needs, with requirements.txt; STATE the folder for what is made
here; WHEELS a folder of wheels of the envs, or nothing; IMAGES a folder of images of theirs, or nothing, whose
layers lie beside it. It asks no index for anything, needs neither pip nor venv here
(uv is in its own wheel), and what was made of the same wheels before is used again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

CODE = Path(__file__).resolve().parents[3]
OLDEST = (3, 10)
#: What of the code is a checkout: envs, and what they are built and checked with.
_FOLDERS = ("docker", "envs", "smoke")


def mark() -> str:
    """Tells machines apart that share a home."""
    try:
        ident = Path("/etc/machine-id").read_text(encoding="ascii")
    except (OSError, ValueError):
        ident = ""
    return hashlib.sha256(f"{ident}{platform.node()}".encode()).hexdigest()[:12]


def unzipped(wheels: Path, folder: Path) -> Path:
    """The program uv, out of its wheel."""
    program = folder / "uv"
    with zipfile.ZipFile(str(next(wheels.glob("uv-*.whl")))) as archive:
        name = next(one for one in archive.namelist() if one.endswith("/scripts/uv"))
        with archive.open(name) as packed, program.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def environment(wheels: Path, state: Path) -> Path:
    """The interpreter of an environment with all wheels that fit this Python."""
    folder = state / "tools-{}-{}.{}".format(wheels.name[:16], *sys.version_info[:2])
    if not (folder / ".whole").exists():
        shutil.rmtree(str(folder), ignore_errors=True)
        folder.mkdir(parents=True)
        uv = unzipped(wheels, folder)
        quiet = [str(uv), "--quiet", "--no-cache", "--offline", "--no-config"]
        subprocess.run([*quiet, "venv", "--python", sys.executable, str(folder / "venv")], check=True)
        install = ["pip", "install", "--python", str(folder / "venv"), "--no-index", "--find-links", str(wheels)]
        install += ["--require-hashes", "--requirements", str(wheels / "requirements.txt")]
        subprocess.run([*quiet, *install], check=True)
        uv.unlink()
        (folder / ".whole").touch()
    return folder / "venv" / "bin" / "python"


def checkout(root: Path) -> Path:
    """The code that came along in a folder that stays: what was built in it is found again."""
    came, key = root / ".came", hashlib.sha256()
    for file in sorted(file for name in _FOLDERS for file in (CODE / name).rglob("*") if file.is_file()):
        key.update(str(file.relative_to(CODE)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    if not came.is_file() or came.read_text() != key.hexdigest():
        for name in _FOLDERS:
            shutil.rmtree(str(root / name), ignore_errors=True)
            shutil.copytree(str(CODE / name), str(root / name))
        came.write_text(key.hexdigest())
    return root


def bundle(images: Path, state: Path) -> Path:
    """What a bundle would have brought: the images, their layers linked from where they lie."""
    folder = state / f"images-{images.name[:16]}"
    shutil.rmtree(str(folder), ignore_errors=True)
    shutil.copytree(str(images), str(folder))
    for key in json.loads((folder / "layers.json").read_text()):
        for layer in (images.parent / key).glob("blobs/*/*"):
            (folder / "bundle" / "images" / layer.relative_to(images.parent / key)).symlink_to(layer)
    return folder


def main(tools: str, state: str, wheels: str, images: str, *command: str) -> None:
    """Make ready, and become dlmatrix."""
    if sys.version_info < OLDEST:
        sys.exit("dlmatrix: this is Python {}.{}, and it needs Python 3.10 or newer".format(*sys.version_info[:2]))
    own = Path(state) / mark()
    own.mkdir(parents=True, exist_ok=True)
    with (own / "busy").open("a") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        try:
            python = environment(Path(tools), own)
        except subprocess.CalledProcessError as problem:
            sys.exit(f"dlmatrix: its environment could not be made: {problem}")
        if images:
            os.environ["DLMATRIX_BUNDLE"] = str(bundle(Path(images), own))
        root = checkout(own / "root")
    os.chdir(str(root))
    if wheels:
        os.environ["UV_FIND_LINKS"] = wheels
    os.environ["PYTHONPATH"] = str(CODE)
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.execv(str(python), [str(python), "-m", "dlmatrix", *command])  # noqa: S606 - there is no shell


if __name__ == "__main__":
    main(*sys.argv[1:])
