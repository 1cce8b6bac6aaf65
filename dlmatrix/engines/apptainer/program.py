"""The apptainer command: where it is, how it is called, and how a container of it is confined, in one place."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlmatrix.errors import EngineError
from dlmatrix.gpu.selection import ORDER, VISIBLE
from dlmatrix.system.process import Finished, Say, run_lines

#: Of the variables that Apptainer takes for options, those that only say where it works. All others would open what
#: is closed here: APPTAINER_BIND, APPTAINER_WRITABLE_TMPFS, APPTAINERENV_LD_PRELOAD.
_PLACES = ("APPTAINER_TMPDIR", "APPTAINER_CACHEDIR", "APPTAINER_CONFIGDIR")
_OPTIONS = re.compile(r"(APPTAINER|SINGULARITY)")
#: The user that an image of this project is for. Root alone must be told: everybody else stays who they are.
_USER = "65532"


def program() -> str:
    """The path of the command. Raises EngineError where there is none."""
    found = shutil.which("apptainer")
    if found is None:
        raise EngineError(
            "there is no apptainer command on the PATH",
            "`module load apptainer`, or whatever this cluster calls it; or have it installed; or use --engine venv",
        )
    return found


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the command gets: none of those that are options of it."""
    return {name: value for name, value in environ.items() if name in _PLACES or not _OPTIONS.match(name)}


def call(*words: str, say: Say = lambda line: None) -> Finished:
    """Run a command of Apptainer's to its end."""
    return run_lines([program(), *words], say=say, environ=environment(os.environ))


def fatal(said: str) -> str:
    """The reason that the command gives where it fails, without its colours; else its last line."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).strip() for line in said.splitlines() if line.strip()]
    found = [line.partition(":")[2].strip() for line in lines if re.match(r"(FATAL|ERROR)\s*:", line)]
    return (found or lines or ["it said nothing"])[-1]


def confined(sif: Path, workdir: Path, *, gpu: bool = False, uid: int) -> list[str]:
    """The options of a container that can reach and change as little as possible, and the file that it is of.

    They are what dlmatrix/engines/docker/container.py asks of a Docker engine. The root is read-only by itself; /tmp
    and the home lie in ``workdir``, since in the memory that Apptainer gives them a user has 64 MB.
    """
    words = ["--containall", "--net", "--network", "none", "--no-privs", "--no-mount", "hostfs,bind-paths"]
    words += ["--workdir", str(workdir), "--pwd", "/srv"]
    words += ["--security", f"uid:{_USER}", "--security", f"gid:{_USER}"] if uid == 0 else []
    return [*words, *(["--nv"] if gpu else []), str(sif)]


def handed_in(variables: Mapping[str, str]) -> dict[str, str]:
    """Which GPUs a container is to use: the variables by which Apptainer sets them inside."""
    return {f"APPTAINERENV_{name}": variables[name] for name in (VISIBLE, ORDER) if name in variables}


def smoke_command(options: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """The command that runs the checks: not ``apptainer run``, which lets a shell evaluate the arguments once more."""
    return [program(), "exec", *options, "python", "-m", "smoke", *arguments]
