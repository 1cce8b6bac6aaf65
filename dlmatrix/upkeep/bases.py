"""Makes the bases that stand in for the official images where no registry can be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dlmatrix.engines.docker.address import builder
from dlmatrix.engines.failures import explain
from dlmatrix.errors import BaseMissingError, BuildError, SkippedEnv
from dlmatrix.matrix.model import Base
from dlmatrix.matrix.plan import SOURCE_DATE_EPOCH
from dlmatrix.system.interpreters import find_python
from dlmatrix.system.process import Say, run_lines
from dlmatrix.system.state import state_dir


def make_bases(root: Path, bases: Iterable[Base], say: Say) -> list[str]:
    """Make the Debian base for each Python; returns one line for each that had to be skipped."""
    if shutil.which("mmdebstrap") is None:
        raise BaseMissingError("mmdebstrap is not installed", "apt-get install mmdebstrap")
    skipped = []
    for base in bases:
        try:
            make_base(root, base, say)
        except SkippedEnv as reason:
            skipped.append(f"base-{base.python}: {reason}")
    return skipped


def make_base(root: Path, base: Base, say: Say, tag: str | None = None) -> Path:
    """Make one base, put it on the engine under its tag or another, and return the file with its package list.

    Raises SkippedEnv where the interpreter to copy is not on this machine.
    """
    packages = state_dir(root) / "bases" / f"{base.python}-{base.debian.suite}.packages"
    packages.parent.mkdir(parents=True, exist_ok=True)
    command = [str(root / "docker" / "make-base"), "--suite", base.debian.suite, "--python", base.python]
    command += [word for package in base.debian.packages for word in ("--package", package)]
    command += ["--epoch", SOURCE_DATE_EPOCH, "--tag", tag or base.debian_tag]
    command += ["--builder", builder(), "--packages-file", str(packages)]
    if base.debian.copy_interpreter:
        command += ["--python-prefix", str(_prefix(base.python))]
    done = run_lines(command, say=say, environ=os.environ)
    if done.exit_code != 0:
        error = explain(done.said, base.debian_tag, "the Docker engine")
        raise error if not isinstance(error, BuildError) else BuildError(error.message, "read the lines above")
    return packages


def _prefix(version: str) -> Path:
    python = find_python(version)
    if python is None:
        raise SkippedEnv(
            f"Python {version} is not on this machine, and Debian has no package of it",
            f"install it (pyenv install {version}), or use the official base where a registry can be reached",
        )
    shown = subprocess.run(
        [python, "-I", "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    )
    return Path(shown.stdout.strip())
