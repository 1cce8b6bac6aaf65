"""Where the checkout is that a command works on."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.errors import UsageError


def find_root(start: Path | None = None) -> Path:
    """The checkout: the nearest folder, from ``start`` upwards or around this package, with envs/bases.toml."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "envs" / "bases.toml").is_file():
            return folder
    raise UsageError(f"{here} is not inside a dlmatrix checkout", "change into the checkout, where noxfile.py is")
