"""The wheels that machines are sent: what dlmatrix needs there, and, where they reach no index, those of the envs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dlmatrix.bundle.contents import PYTHONS, brought, of_locks
from dlmatrix.bundle.manifest import manifest_of
from dlmatrix.bundle.wheels import Collector
from dlmatrix.fleet.order import Part
from dlmatrix.fleet.parts import files_part
from dlmatrix.matrix.load import lock_of
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import Env, Lock, Matrix
from dlmatrix.matrix.site import read_site
from dlmatrix.matrix.sources import build_lock_of
from dlmatrix.system.checkout import bundled
from dlmatrix.system.words import listed


def tools_part(root: Path, folder: Path, say: Callable[[str], None]) -> Part:
    """Wheels of all that dlmatrix imports, for every Python that a machine may have, and their lock.

    In a checkout that a bundle has brought, for the Pythons that its tools are for: no index may be here either.
    """
    file = root / "envs" / "locks" / "machine.txt"
    lock, pythons = read_lock(file, "nox -s lock -- machine --write"), _pythons(root)
    say(f"wheels of dlmatrix for machines with Python {listed(pythons)}")
    found = _files(root, [(lock, python) for python in pythons], say)
    return files_part(folder, "tools", {**found, "requirements.txt": file})


def envs_part(matrix: Matrix, envs: Iterable[Env], folder: Path, say: Callable[[str], None]) -> Part:
    """All that the locks of envs ask for, and those of what their sources are built with."""
    wanted: list[tuple[Lock, str]] = []
    for env in envs:
        lock = lock_of(matrix, env)
        wanted.append((lock, env.python))
        if build := build_lock_of(lock):
            wanted.append((read_lock(build, f"nox -s lock -- {env.name} --write"), env.python))
    say(f"wheels of {listed(list(dict.fromkeys(lock.file.stem for lock, _ in wanted)))}")
    return files_part(folder, "wheels", _files(matrix.root, wanted, say))


def _pythons(root: Path) -> Sequence[str]:
    if folder := bundled(root):
        return manifest_of(folder / "manifest.json").versions.get("pythons", "").split() or PYTHONS
    return PYTHONS


def _files(root: Path, wanted: Sequence[tuple[Lock, str]], say: Callable[[str], None]) -> dict[str, Path]:
    """The files of locks, by their names: of find-links folders or a bundle, kept, or downloaded, which is said.

    Raises NetworkError where they cannot be had, IntegrityError where one has other bytes than its lock says.
    """
    collector = Collector(root=root, site=read_site(os.environ), say=say)
    return brought(of_locks(wanted, collector), collector)
