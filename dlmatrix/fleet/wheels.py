"""The wheels that machines are sent: what dlmatrix needs there, and, where they reach no index, those of the envs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.markers import Marker

from dlmatrix.errors import NetworkError
from dlmatrix.fleet.order import Part
from dlmatrix.fleet.parts import wheels_part
from dlmatrix.matrix.load import lock_of
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import Env, Lock, Matrix
from dlmatrix.matrix.site import read_site
from dlmatrix.system.process import run_lines
from dlmatrix.system.state import state_dir
from dlmatrix.system.words import listed

#: The Pythons that a machine may have for dlmatrix: most of its wheels are the same for all of them.
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: What their Linux has at least; the newest first, as pip asks for them.
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")


def tools_part(root: Path, say: Callable[[str], None]) -> Part:
    """Wheels of all that dlmatrix imports, for every Python that it runs on, and their lock."""
    file = root / "envs" / "locks" / "machine.txt"
    lock = read_lock(file, "nox -s lock -- machine --write")
    folder = state_dir(root) / "fleet" / f"wheels-{lock.sha256[:16]}"
    if not folder.is_dir():
        _download(file, PYTHONS, folder, say)
    return wheels_part(root, "tools", sorted(folder.glob("*.whl")), {"requirements.txt": file})


def envs_part(matrix: Matrix, envs: Iterable[Env], say: Callable[[str], None]) -> Part:
    """Wheels of all that the locks of envs ask for: those of the find-links folders, or all from an index."""
    found: dict[str, Path] = {}
    for env in envs:
        lock = lock_of(matrix, env)
        local = Local(read_site(os.environ), lock, env.python)
        for wheel in local.usable if local.whole else _from_index(matrix.root, env, lock, say):
            found.setdefault(wheel.name, wheel)
    return wheels_part(matrix.root, "wheels", found.values(), {})


def _from_index(root: Path, env: Env, lock: Lock, say: Callable[[str], None]) -> list[Path]:
    folder = state_dir(root) / "fleet" / f"wheels-{lock.sha256[:16]}"
    if not folder.is_dir():
        _download(lock.file, [env.python], folder, say)
    return sorted(folder.glob("*.whl"))


def _download(lock: Path, pythons: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    """Fill a folder, whole or not at all. Raises NetworkError."""
    say(f"downloading the wheels of {lock.name} for Python {listed(pythons)}, once, to send them to the machines")
    aside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for python in pythons:
            # A lock may tell the first release of a Python from its last.
            texts = {_of_python(lock, version): version for version in (f"{python}.0", f"{python}.99")}
            for text, version in texts.items():
                asked = aside / "asked.txt"
                asked.write_text(text, encoding="utf-8")
                _pip(lock, version, asked)
                asked.unlink()
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _pip(lock: Path, python: str, asked: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--dest", str(asked.parent)]
    command += ["--python-version", python, "--implementation", "cp"]
    command += [word for platform in _PLATFORMS for word in ("--platform", platform)]
    done = run_lines([*command, "--requirement", str(asked)], say=lambda line: None, environ=os.environ)
    if done.exit_code != 0:
        said = [line for line in done.said.splitlines() if line.startswith("ERROR")] or [done.said[-300:]]
        raise NetworkError(
            f"{lock.name}: its wheels for Python {python} could not be downloaded: {said[-1]}",
            "see that the index answers, and that pip is here: python -m pip --version",
        )


def _of_python(lock: Path, version: str) -> str:
    """The entries of a lock that are for a Python. pip itself holds markers against the one that runs it."""
    here = {"python_version": version.rpartition(".")[0], "python_full_version": version}
    kept = []
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        pin, *hashes = line.split(" --hash=")
        requirement, _, marker = pin.partition(";")
        if not line.startswith("#") and (not marker or Marker(marker.strip()).evaluate(here)):
            kept.append(" --hash=".join([requirement.strip(), *map(str.strip, hashes)]))
    return "\n".join(kept) + "\n"
