"""What a build reads from the checkout, by digests taken once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dlmatrix.matrix.model import Lock

_RECIPE = ("Dockerfile", "build-wheels", "finish-env", "compile-bytecode")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The digests as they were when they were read, so that all that is said of an image is said of the same files."""

    recipe: str
    build_lock: str
    smoke: str


def read_sources(root: Path, lock: Lock) -> Sources:
    """The digests of what a build will read, as it is now."""
    build_lock = build_lock_of(lock)
    return Sources(
        recipe=_tree(root, [root / "docker" / name for name in _RECIPE]),
        build_lock=_tree(root, [build_lock] if build_lock else []),
        smoke=_tree(root, smoke_files(root)),
    )


def build_lock_of(lock: Lock) -> Path | None:
    """The lock of what an env's source distributions are built with, where there is one."""
    file = lock.file.with_suffix(".build.txt")
    return file if file.is_file() else None


def smoke_files(root: Path) -> list[Path]:
    """Every file that enters the image as the smoke layer."""
    return sorted(f for f in (root / "smoke").rglob("*") if f.is_file() and "__pycache__" not in f.parts)


def _tree(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
