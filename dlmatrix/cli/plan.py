"""The verb ``plan``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from dlmatrix.cli.machine import add_gpus, add_limits, add_newest, limits_of, refuse_gpus
from dlmatrix.cli.parser import Verbs, add_bases
from dlmatrix.errors import EXIT_SKIPPED


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("plan", help="the steps and the docker commands, without running them")
    parser.add_argument("envs", nargs="+", metavar="ENV")
    add_newest(parser)
    add_gpus(parser)
    add_limits(parser)
    add_bases(parser)
    parser.set_defaults(verb=show_plans)


def show_plans(
    *,
    envs: Sequence[str],
    newest: bool,
    gpus: tuple[str, ...] | None,
    memory: int | None,
    cpus: float | None,
    shm_size: int | None,
    bases: str,
) -> int:
    """Print, for each env, the steps and the docker commands that `run` would carry out; 77 where one is skipped."""
    from dataclasses import replace
    from importlib import metadata

    from dlmatrix.cli.output import make_console
    from dlmatrix.engines.docker.container import run_command
    from dlmatrix.engines.docker.recipe import build_command
    from dlmatrix.matrix.load import load_sound, lock_of, select
    from dlmatrix.matrix.model import Status
    from dlmatrix.matrix.plan import ALL, debian, make_plan, official
    from dlmatrix.run.outside import Outside
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.state import state_folder

    matrix = load_sound(find_root())
    console = make_console(soft_wrap=True)
    outside = Outside(matrix, gpus=gpus or ALL)
    chosen, remarks = (select(matrix, envs), ()) if newest else outside.pick(envs)
    refuse_gpus(gpus, chosen)
    for line in remarks:
        console.print(line)
    limits = limits_of(memory, cpus, shm_size)
    for env in chosen:
        if env.status is Status.IMPOSSIBLE:
            console.print(f"{env.name}: skipped: {env.reason}")
            continue
        plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), limits)
        plan = replace(plan, gpus=outside.gpus(env))
        base = debian(plan.base, "(its id on the engine)") if bases == "debian" else official(plan.base)
        contexts = {
            "uv": f"{state_folder(matrix.root)}/uv-{plan.uv_version}",
            "env": "(the base, and a layer for each wheel)",
        }
        build = build_command(plan, base, contexts)
        room = f"about {plan.disk_bytes / 1e9:.1f} GB of disk to build"
        console.print(f"{env.name}: {len(plan.lock.entries)} locked distributions, Python {env.python}, {room}")
        console.print(f"  1. base: {base.ref}")
        console.print(f"  2. unless {env.tag} has the content key {plan.key(base)}, build it:")
        console.print(f"     {shlex.join(build)}")
        console.print(f"  3. check it:\n     {shlex.join(run_command(plan))}")
        console.print("  4. write the report")
    return EXIT_SKIPPED if any(env.status is Status.IMPOSSIBLE for env in chosen) else 0
