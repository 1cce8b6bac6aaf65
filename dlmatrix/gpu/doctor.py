"""Looks at this machine, at the start of a container and into it, and says why the GPU is not used.

The facts come from `smoke.detect`, always in a process of its own; the verdict comes from `dlmatrix.gpu.diagnosis`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dlmatrix.errors import EngineError, UsageError
from dlmatrix.gpu.diagnosis import Launch, diagnose
from dlmatrix.gpu.examination import Examination, StartContainer
from dlmatrix.gpu.selection import environment
from dlmatrix.gpu.surroundings import system_of
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.matrix.plan import ALL
from dlmatrix.system.interpreters import as_the_users
from dlmatrix.system.process import run_lines
from dlmatrix.system.state import state_folder

#: Seconds for the whole detection; its own limits per witness are shorter.
LIMIT = 300


def examine(
    root: Path,
    matrix: Matrix,
    named: Env | None,
    *,
    engine: str,
    python: Path | None,
    gpus: tuple[str, ...] = ALL,
    start: StartContainer,
    hear: Callable[[str, str], None] | None = None,
) -> Examination:
    """Host, then container start, then inside; with the engine `host` the framework of `python` on the host.

    `hear(place, line)` is given what detection says while it is at work there (see `smoke.detect --follow`).
    """
    on_host = partial(hear, "host") if hear else None
    launch, inside, unreached = None, None, ""
    if engine == "host":
        host, unreached = _host(root, named, python, on_host, environment(gpus, os.environ))
    elif python is not None:
        raise UsageError("--python goes with --engine host", "add --engine host")
    else:
        host = detect(root, Path(sys.executable), None, on_host)
        try:
            launch, inside, unreached = _container((named,) if named else _gpu_envs(matrix), start)
        except EngineError as error:
            unreached = f"{error.message}; {error.next_step}"
    return Examination(
        env=named.name if named else None,
        engine="host" if launch is None else "docker",
        host=host,
        inside=inside,
        launch=launch,
        diagnosis=diagnose(host, launch, inside),
        unreached=unreached,
        asked=named is not None or engine == "docker",
    )


def _gpu_envs(matrix: Matrix) -> tuple[Env, ...]:
    return tuple(env for env in reversed(matrix.envs) if env.variant == "gpu" and env.status is not Status.IMPOSSIBLE)


def _host(
    root: Path,
    env: Env | None,
    python: Path | None,
    hear: Callable[[str], None] | None,
    variables: Mapping[str, str],
) -> tuple[dict[str, Any] | None, str]:
    """The facts of the host with the framework of `python`, else of the env's venv; and why that was not reached."""
    if env is None:
        return detect(root, python or Path(sys.executable), None, hear, variables), ""
    interpreter = python or _venv(root, env)
    if interpreter is not None:
        return detect(root, interpreter, env.framework, hear, variables), ""
    missing = f"there is no venv of {env.name}: `python -m dlmatrix run {env.name} --engine venv` makes one"
    return detect(root, Path(sys.executable), None, hear, variables), missing


def _venv(root: Path, env: Env) -> Path | None:
    python = state_folder(root) / "venvs" / env.name / "bin" / "python"
    return python if python.exists() else None


def detect(
    root: Path,
    python: Path,
    framework: str | None,
    hear: Callable[[str], None] | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any] | None:
    """The facts document of this machine as `python` sees it, or None where detection itself failed.

    `hear` is given the lines that it writes as each witness answers; `variables` come on top of the environment's.
    """
    # From where the user stands: it runs in the checkout.
    program = os.path.abspath(shutil.which(python) or python)
    command = [program, "-m", "smoke.detect", "--json", "-", *(["--follow"] if hear else [])]
    command += ["--framework", framework] if framework else []
    environ = as_the_users(root, os.environ) | dict(variables)
    try:
        done = run_lines(command, say=hear or (lambda _line: None), environ=environ, cwd=root, timeout_seconds=LIMIT)
    except OSError as error:
        raise UsageError(f"{python} cannot be run: {error.strerror}", "name an interpreter: --python") from None
    document = _document(done.stdout)
    return None if document is None else document | {"system": system_of(Path("/"))}


def _document(stdout: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(stdout)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _container(envs: Sequence[Env], start: StartContainer) -> tuple[Launch | None, dict[str, Any] | None, str]:
    """Start the first image that is there with a GPU: the engine's answer, the facts from inside, what is missing."""
    for env in envs:
        started = start(env.tag, ["--json", "-", "--framework", env.framework])
        if started is None:
            continue
        launch = Launch(error=started.error, system=started.system, folder=started.folder, gpus=started.gpus)
        inside = None if started.error else _document(started.stdout)
        if inside is None and not started.error:
            return None, None, f"detection wrote no document inside {env.tag}"
        return launch, inside, ""
    return None, None, f"the image of {envs[0].name} has not been built: python -m dlmatrix run {envs[0].name}"
