"""Sets up .venv in an unpacked bundle, from the wheels in it alone: no pip, no network, nothing of the user's settings.

    python3 -m dlmatrix.bundle.setup

is what ``make setup`` runs where there is a bundle. Only the standard library is needed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from dlmatrix.bundle.manifest import FOLDER, MANIFEST, manifest_of
from dlmatrix.errors import BuildError, DlmatrixError, of_system

#: What says that .venv is whole, and of which lock: the Makefile's own mark.
_MARK, _LOCK = Path(".venv", ".tools"), Path("envs", "locks", "tools.txt")


def set_up(root: Path) -> Path:
    """Make root/.venv, unless it is there and whole; returns its interpreter."""
    python = root / ".venv" / "bin" / "python"
    if python.exists() and (root / _MARK).exists():
        return python
    manifest = manifest_of(root / MANIFEST)
    here, known = f"{sys.version_info[0]}.{sys.version_info[1]}", manifest.versions.get("pythons", "").split()
    if not known:
        raise BuildError(f"{root}: this bundle was made without wheels", "with an index at hand: make setup")
    if here not in known:
        raise BuildError(
            f"{sys.executable} is Python {here}, and the bundle's tools are for {', '.join(known)}",
            "start it with one of these Pythons",
        )
    print(f"setting up .venv, once, from {root / FOLDER / 'wheels'}", flush=True)
    with tempfile.TemporaryDirectory(dir=root / FOLDER) as folder:
        uv = _uv(root / FOLDER / "wheels", Path(folder))
        common = [
            str(uv),
            "--no-config",
            "--offline",
            "--no-progress",
            "--quiet",
            "--cache-dir",
            str(Path(folder, "cache")),
        ]
        shutil.rmtree(root / ".venv", ignore_errors=True)
        _run([*common, "venv", "--no-python-downloads", "--python", sys.executable, str(root / ".venv")])
        install = [*common, "pip", "install", "--python", str(python), "--no-index", "--require-hashes"]
        install += ["--find-links", str(root / FOLDER / "wheels"), "--requirements", str(root / _LOCK)]
        _run(install)
    (root / _MARK).touch()
    return python


def _uv(wheels: Path, folder: Path) -> Path:
    """uv's program, out of its wheel."""
    for wheel in sorted(wheels.glob("uv-*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            for info in packed.infolist():
                if info.filename.endswith(".data/scripts/uv"):
                    target = folder / "uv"
                    with packed.open(info) as source, target.open("wb") as stream:
                        shutil.copyfileobj(source, stream)
                    target.chmod(0o755)
                    return target
    raise BuildError(f"{wheels}: there is no uv", "unpack the bundle once more")


def _run(command: list[str]) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "PYTHON"))}
    environ.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, env=environ, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise BuildError(f"uv could not set up .venv: {said}", "unpack the bundle once more, to another folder")


if __name__ == "__main__":
    try:
        set_up(Path.cwd())
    except DlmatrixError as error:
        sys.exit(f"dlmatrix: {error}")
    except OSError as error:
        sys.exit(f"dlmatrix: {of_system(error)}")
