"""Where an engine has put an env, as a file system to look at without running anything in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dlmatrix.inspection.closure import site_packages
from dlmatrix.inspection.filesystem import Folder, Stacked
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.plan import Plan


def image_place(plan: Plan, filesystem: Stacked, environment: Iterable[str]) -> Place:
    """An image, from what its layers make and its ``NAME=value`` variables."""
    variables = dict(item.partition("=")[::2] for item in environment)
    return Place(
        filesystem=filesystem,
        site_packages=site_packages(plan.env.python),
        library_path=tuple(filter(None, variables.get("LD_LIBRARY_PATH", "").split(":"))),
    )


def venv_place(plan: Plan, folder: Path) -> Place:
    """A virtual environment of this machine, whose own libraries it uses; a driver may be among those."""
    below = site_packages(plan.env.python, str(folder.resolve()))
    return Place(filesystem=Folder(Path("/")), site_packages=below, no_driver_below=below)
