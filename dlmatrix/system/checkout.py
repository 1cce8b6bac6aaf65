"""Where the envs, recipes and checks are that a command works on: a checkout, or what the installed package carries."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from dlmatrix.errors import ConfigError, UsageError

_PACKAGE = Path(__file__).resolve().parents[1]
#: envs/, docker/ and smoke/ in an installed package (pyproject.toml puts them there); a checkout has no such folder.
DATA = _PACKAGE / "data"
#: What an unpacked bundle has in this folder beside the checkout: wheels, images, bills of materials, its manifest.
BUNDLE = "bundle"
#: Names an unpacked bundle whose wheels and images are used; default: the one that the checkout itself is.
BUNDLE_VARIABLE = "DLMATRIX_BUNDLE"


def find_root(start: Path | None = None) -> Path:
    """The folder of envs/, docker/ and smoke/, only to be read.

    It is the nearest one with envs/bases.toml from ``start`` (default: here) upwards, else the checkout around this
    package, else the copy inside the installed package. Raises ConfigError for a checkout that lacks the file.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, _PACKAGE.parent, DATA):
        bases = folder / "envs" / "bases.toml"
        if bases.is_file():
            return folder
        if (folder / "docker" / "Dockerfile").is_file() and (folder / "smoke" / "schema.json").is_file():
            raise ConfigError(
                f"{bases}: no such file", f"restore it: git -C {shlex.quote(str(folder))} checkout -- envs/bases.toml"
            )
    raise UsageError(f"{here} is not inside a dlmatrix checkout", "change into the checkout, where noxfile.py is")


def files_of(folder: Path, name: str = "", without: Collection[str] = ()) -> dict[str, Path]:
    """The files below a folder, less what Python compiles of them, by their paths below ``name``."""
    found = {}
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in ("__pycache__", *without))
        for file in sorted(files):
            path = Path(here, file)
            if path.suffix != ".pyc":
                found[str(PurePosixPath(name, path.relative_to(folder)))] = path
    return found


def package_files() -> dict[str, Path]:
    """This package as it lies in a checkout."""
    return files_of(_PACKAGE, _PACKAGE.name, [DATA.name])


def installed_files() -> dict[str, Path]:
    """What an installed package has of a checkout, by their paths there."""
    return {**files_of(DATA), **package_files()}


def bundled(root: Path) -> Path | None:
    """The folder of what a bundle has brought for a root: of the bundle that is named, else of the one it came in."""
    folder = Path(os.environ.get(BUNDLE_VARIABLE) or root, BUNDLE)
    return folder if (folder / "manifest.json").is_file() else None


def own_checkout(root: Path) -> Path:
    """The root for what changes its files. Raises UsageError where it is no checkout, or somebody else's."""
    if root == DATA:
        raise UsageError(
            "this changes files of a checkout, and here is none: the installed package only has a copy of them",
            "change into a checkout, and run it there",
        )
    if not os.access(root / "envs", os.W_OK):
        raise UsageError(f"this changes files of the checkout {root}, which cannot be written", "use a clone of it")
    return root
