"""An interpreter the user names: checks an installation that is already there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import UsageError
from dlmatrix.gpu.selection import environment, told
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.interpreters import as_the_users
from dlmatrix.system.process import Say, run_lines

#: The supervisor inside ends a hanging framework; this is how much later it is ended itself.
_OVERTIME_SECONDS = 60
#: How smoke begins to say that it has no folder for temporary files.
_NO_ROOM = "smoke: no temporary folder: "


class HostEngine:
    """Runs the checks with an interpreter that somebody else set up."""

    name = "host"
    contains = False
    builds_at_once = 1

    def __init__(self, python: Path) -> None:
        if not python.is_file() or not os.access(python, os.X_OK):
            raise UsageError(f"{python} is not an executable interpreter", "name one: --python /path/to/bin/python")
        # The checks run from the checkout. A link stays one: it is what makes a virtual environment of an interpreter.
        self._python = Path(os.path.abspath(python))

    def about(self) -> dict[str, str]:
        """Which interpreter, on which kernel."""
        system = os.uname()
        return {"engine": "host", "version": f"{system.sysname} {system.release}", "python": str(self._python)}

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        """Nothing is built: the installation is the user's."""
        return Prepared(what=str(self._python), built=False, seconds=0.0, facts={"base": str(self._python)})

    def place(self, plan: Plan) -> None:
        """None: the installation is somebody else's, and may change under us."""

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        """Run the checks as a process of this machine."""
        return run_smoke(plan, Path(prepared.what), say)


def run_smoke(plan: Plan, python: Path, say: Say) -> Completed:
    """Run ``python -m smoke`` from the checkout with an interpreter of this machine."""
    kept = as_the_users(plan.root, os.environ)
    gpus = environment(plan.gpus, kept)
    command = [str(python), "-m", "smoke", *plan.smoke_arguments(hermetic=False)]
    return checked(plan, command, environ=kept | gpus, gpus=told(plan.gpus, kept, gpus), say=say)


def checked(plan: Plan, command: Sequence[str], *, environ: Mapping[str, str], gpus: str, say: Say) -> Completed:
    """How a command of this machine ended that runs the checks; ``gpus`` is how it was told of them."""
    limit = plan.ends_within + _OVERTIME_SECONDS
    done = run_lines(command, say=say, environ=environ, cwd=plan.root, timeout_seconds=limit)
    return Completed(
        exit_code=done.exit_code,
        stdout=done.stdout,
        start_seconds=0.0,
        gpus=gpus if plan.env.variant == "gpu" else "",
        timed_out=done.timed_out,
        no_room=next(
            (line.removeprefix("smoke: ") for line in done.said.splitlines() if line.startswith(_NO_ROOM)), ""
        ),
    )
