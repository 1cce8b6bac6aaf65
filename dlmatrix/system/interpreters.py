"""Finds a Python of a given version on this machine.

A name on the PATH is not enough: pyenv's shims exist for versions that are not selected, and fail.
An interpreter counts only if it runs and prints the version wanted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_PROBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable, sys.prefix == sys.base_prefix, sep='\\n')"


def find_python(version: str, environ: Mapping[str, str] = os.environ, more: Iterable[Path] = ()) -> Path | None:
    """The first interpreter of this ``major.minor`` that really runs, or None; ``more`` folders may hold one."""
    for candidate in _candidates(version, environ, more):
        try:
            found = subprocess.run(
                [candidate, "-I", "-c", _PROBE],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
                stdin=subprocess.DEVNULL,
            ).stdout.splitlines()
        except (OSError, subprocess.SubprocessError):
            continue
        if found[:1] == [version] and found[2:] == ["True"]:  # a virtual environment is somebody's own
            return Path(found[1])
    return None


def _candidates(version: str, environ: Mapping[str, str], more: Iterable[Path]) -> Iterator[str]:
    name = f"python{version}"
    pyenv = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    folders += [*pyenv.glob(f"versions/{version}.*/bin"), Path("/usr/local/bin"), Path("/usr/bin")]
    folders += Path(environ.get("HOME", "/")).glob(f".local/share/uv/python/cpython-{version}.*/bin")
    for folder in (*folders, *more, Path(sys.base_prefix) / "bin"):  # at last what this runs on itself
        if (folder / name).is_file():
            yield str(folder / name)


def as_the_users(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a Python imports what it imports for its user, and ``smoke`` from ``root``.

    What PYTHONPATH names stays, from where the user stands, and so does what is installed with --user.
    """
    own = environ.get("PYTHONPATH", "")
    folders = [str(root), *(os.path.abspath(folder) for folder in own.split(os.pathsep) if own)]
    kept = {name: value for name, value in environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    return kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(folders)), "PYTHONDONTWRITEBYTECODE": "1"}
