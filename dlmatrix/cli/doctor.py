"""The verb ``doctor``."""

from __future__ import annotations

import json as json_module
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dlmatrix.cli.machine import add_gpus, gpus_not_here
from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import DlmatrixError, UsageError

if TYPE_CHECKING:
    from dlmatrix.gpu.examination import StartContainer, Started
    from dlmatrix.matrix.model import Env, Matrix


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("doctor", help="why the GPU is not used, by name, with the remedy")
    parser.add_argument("env", nargs="?", metavar="ENV", help="gpu-torch-2.13, …: also look into its image or venv")
    parser.add_argument("--engine", choices=["auto", "docker", "host"], default="auto")
    parser.add_argument("--python", type=Path, help="with --engine host: the interpreter whose framework is asked")
    add_gpus(parser)
    parser.add_argument("--json", action="store_true", help="write the facts and the diagnosis to stdout")
    parser.set_defaults(verb=doctor)


def doctor(
    *,
    env: str | None,
    engine: str,
    python: Path | None,
    gpus: tuple[str, ...] | None,
    json: bool,
    start: StartContainer | None = None,
) -> int:
    """Examine, show, and return the exit code of what was found. ``start`` stands for Docker in tests."""
    from dlmatrix.gpu.doctor import examine
    from dlmatrix.gpu.follow import Following
    from dlmatrix.gpu.instead import would_work
    from dlmatrix.gpu.show import as_json, doctors_console, show
    from dlmatrix.matrix.load import load_sound
    from dlmatrix.matrix.plan import ALL
    from dlmatrix.system.checkout import find_root

    root = find_root()
    matrix = load_sound(root)
    named = _one_env(matrix, env)
    console = doctors_console()
    with nullcontext() if json else Following(console, named.name if named else "this machine") as following:
        hear = following.hear if following else None
        inside = partial(hear, "container") if hear else None
        examination = examine(
            root,
            matrix,
            named,
            engine=engine,
            python=python,
            gpus=gpus or ALL,
            start=start or partial(_start_on_docker, root, gpus or ALL, inside),
            hear=hear,
        )
    if said := gpus_not_here(examination.host or examination.inside, gpus or ALL):
        print(said, file=sys.stderr)
    instead = would_work(root, matrix, named, examination)
    if json:
        print(json_module.dumps(as_json(examination, instead), indent=1))
    else:
        show(examination, instead, console)
    return examination.exit_code


def _one_env(matrix: Matrix, name: str | None) -> Env | None:
    from dlmatrix.matrix.load import select

    if name is None:
        return None
    envs = select(matrix, [name])
    if len(envs) != 1:
        raise UsageError(f"{name} names {len(envs)} envs", f"name one: {', '.join(env.name for env in envs[:6])}")
    return envs[0]


def _start_on_docker(
    root: Path, gpus: tuple[str, ...], hear: Callable[[str], None] | None, image: str, arguments: Sequence[str]
) -> Started | None:
    """Start an image on the engine that the docker command would use; `hear` is told of each witness's answer."""
    from dlmatrix.engines.docker.detect import detect_in_container
    from dlmatrix.engines.docker.engine import connect
    from dlmatrix.gpu.doctor import LIMIT
    from dlmatrix.matrix.plan import NONE
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.working import working

    engine = connect(read_site(os.environ), bases="auto")
    given = () if gpus == NONE else gpus
    follow = ["--follow"] if hear else []
    with ExitStack() as stack:
        with suppress(OSError, DlmatrixError):  # a full disk is no reason to say nothing of the GPU
            stack.enter_context(working(root))
        return detect_in_container(engine.client, image, [*arguments, *follow], gpus=given, seconds=LIMIT, hear=hear)
