"""The verb ``closure``."""

from __future__ import annotations

from collections.abc import Sequence

from dlmatrix.cli.output import say
from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import EXIT_SKIPPED, EngineError


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("closure", help="find, without a GPU, the libraries that an env will miss")
    parser.add_argument("envs", nargs="+", metavar="ENV")
    parser.add_argument("--engine", choices=["auto", "docker", "venv"], default="auto")
    parser.set_defaults(verb=check_libraries)


def check_libraries(*, envs: Sequence[str], engine: str) -> int:
    """Check the closure of envs, building what is not up to date; 1 where a library is missing, 77 for a skip."""
    from importlib import metadata

    from dlmatrix.engines.choose import choose_engine
    from dlmatrix.inspection.closure import check_closure, describe
    from dlmatrix.inspection.libraries import load_libraries
    from dlmatrix.matrix.compatibility import load_compatibility
    from dlmatrix.matrix.load import load_sound, lock_of, select
    from dlmatrix.matrix.model import Status
    from dlmatrix.matrix.plan import Limits, make_plan
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.working import working

    matrix = load_sound(find_root())
    table, libraries = load_compatibility(matrix.root), load_libraries()
    chosen, why = choose_engine(engine)
    say(f"engine: {chosen.name} ({why})")
    complete, skipped = True, False
    with working(matrix.root):
        for env in select(matrix, envs):
            if env.status is Status.IMPOSSIBLE:
                say(f"{env.name}: skipped: {env.reason}")
                skipped = True
                continue
            lock = lock_of(matrix, env)
            plan = make_plan(matrix, env, lock, metadata.version("uv"), Limits())
            chosen.prepare(plan, lambda line: None)
            place = chosen.place(plan)
            if place is None:
                raise EngineError(
                    f"the {chosen.name} engine has no file system to look at", "use --engine docker or venv"
                )
            closure = check_closure(place, env, libraries, table.build_of(env), lock)
            complete &= closure.complete
            for line in (*describe(closure), *(f"note: {note}" for note in closure.notes)):
                say(f"{env.name}: {line}")
    if not complete:
        return 1
    return EXIT_SKIPPED if skipped else 0
