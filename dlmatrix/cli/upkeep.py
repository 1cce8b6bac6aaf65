"""The commands that keep the matrix in order: locks, pinned bases, and libraries without a GPU."""

from __future__ import annotations

import argparse
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import uv

from dlmatrix.cli.run import choose_engine
from dlmatrix.errors import EngineError
from dlmatrix.inspection.closure import check_closure, describe
from dlmatrix.inspection.libraries import load_libraries
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Status
from dlmatrix.matrix.plan import Limits, make_plan
from dlmatrix.matrix.site import read_site
from dlmatrix.system.checkout import find_root
from dlmatrix.upkeep.measured import record
from dlmatrix.upkeep.pin import pin
from dlmatrix.upkeep.relock import TOOLS, Locker

#: What would change is a failure until it is written, so that a checkout can be held to its own files.
EXIT_WOULD_CHANGE = 1


def add_verbs(verbs: Any) -> None:
    """Add ``lock``, ``pin``, ``closure`` and ``record`` to the command line's verbs."""
    lock = verbs.add_parser("lock", help="regenerate locks with the pinned uv; show what would change")
    lock.add_argument("envs", nargs="*", metavar="ENV", help=f"an env, or {TOOLS} for the project's own tools")
    lock.add_argument("--write", action="store_true", help="write what changed")
    lock.set_defaults(command=lock_envs)

    pins = verbs.add_parser("pin", help="refresh the bases' digests from their registry; show what would change")
    pins.add_argument("--write", action="store_true", help="write what changed")
    pins.set_defaults(command=pin_bases)

    closure = verbs.add_parser("closure", help="find, without a GPU, the libraries that an env will miss")
    closure.add_argument("envs", nargs="+", metavar="ENV")
    closure.add_argument("--engine", choices=["auto", "docker", "venv"], default="auto")
    closure.set_defaults(command=check_libraries, bases="auto", python=None)

    kept = verbs.add_parser("record", help="take reports of Docker runs into docs/matrix.md")
    kept.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    kept.set_defaults(command=record_reports)


def lock_envs(options: argparse.Namespace) -> int:
    """Regenerate locks; 1 where a lock would change and ``--write`` was not given."""
    locker = Locker(matrix=load_matrix(find_root()), site=read_site(os.environ), uv=uv.find_uv_bin())
    changed = locker.relock(options.envs, write=options.write, say=_say)
    return _tell_changed(changed, options.write)


def pin_bases(options: argparse.Namespace) -> int:
    """Refresh digests; 1 where one would change and ``--write`` was not given."""
    return _tell_changed(pin(find_root(), write=options.write, say=_say), options.write)


def check_libraries(options: argparse.Namespace) -> int:
    """Check the closure of envs, building what is not up to date; 1 where a library is missing."""
    matrix = load_matrix(find_root())
    table, libraries = load_compatibility(matrix.root), load_libraries()
    engine, why = choose_engine(options)
    _say(f"engine: {engine.name} ({why})")
    complete = True
    for env in select(matrix, options.envs):
        if env.status is Status.IMPOSSIBLE:
            _say(f"{env.name}: skipped: {env.reason}")
            continue
        lock = lock_of(matrix, env)
        plan = make_plan(matrix, env, lock, metadata.version("uv"), Limits())
        engine.prepare(plan, lambda line: None)
        place = engine.place(plan)
        if place is None:
            raise EngineError(f"the {engine.name} engine has no file system to look at", "use --engine docker or venv")
        closure = check_closure(place, env, libraries, table.build_of(env), lock)
        complete &= closure.complete
        for line in (*describe(closure), *(f"note: {note}" for note in closure.notes)):
            _say(f"{env.name}: {line}")
    return 0 if complete else 1


def record_reports(options: argparse.Namespace) -> int:
    """Take reports into the committed table."""
    for name in record(load_matrix(find_root()), options.reports):
        _say(name)
    return 0


def _tell_changed(changed: bool, written: bool) -> int:
    if not changed:
        _say("nothing changes")
        return 0
    _say("written" if written else "not written: add --write")
    return 0 if written else EXIT_WOULD_CHANGE


def _say(line: str) -> None:
    print(line, flush=True)
