"""Apptainer as an engine: it runs what was built on a Docker engine elsewhere, and builds nothing of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dlmatrix.engines.apptainer.images import ready
from dlmatrix.engines.apptainer.program import call, confined, environment, fatal, handed_in, program, smoke_command
from dlmatrix.engines.host import checked
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import EngineError
from dlmatrix.gpu.selection import environment as visible
from dlmatrix.gpu.selection import told
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.bounded import Lines
from dlmatrix.system.process import Say
from dlmatrix.system.working import in_memory

#: What is to be done where Apptainer starts no container, by what it says.
_MEND = (
    ("user namespace", "have whoever runs the machine allow user namespaces, or install apptainer-suid"),
    ("/dev/fuse", "have whoever runs the machine open /dev/fuse to everybody, as udev does, or install apptainer-suid"),
    ("squashfs image", "the file is not whole: remove it, and have it made again, with --bundle"),
)


class ApptainerEngine:
    """Apptainer on this machine, and a folder of SIF files, which all machines of a cluster may share."""

    name = "apptainer"
    #: It is confined, but what it may use is the job's: without root, Apptainer keeps no limits on most clusters.
    contains = False
    builds_at_once = 1

    def __init__(self, folder: Path) -> None:
        program()
        self._folder = folder

    def about(self) -> dict[str, str]:
        """Apptainer's version, and where its images are."""
        version = call("--version").stdout.decode("utf-8", "replace").strip().rpartition(" ")[2]
        return {"engine": self.name, "version": version, "images": str(self._folder)}

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        """Find the image that the plan describes, or make its file of the one in the bundle in use.

        The file is held as one in use until this process ends.
        """
        started = time.perf_counter()
        sif = ready(self._folder, plan, say)
        facts: dict[str, str | int] = {"base": sif.base.ref, "base kind": sif.base.kind, "key": plan.key(sif.base)}
        return Prepared(what=str(sif.file), built=sif.built, seconds=time.perf_counter() - started, facts=facts)

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        """Run the checks in a container, which ends with the command that started it."""
        said, begun = Lines(), False

        def hear(line: str) -> None:
            nonlocal begun
            begun = begun or line.startswith("smoke: ")
            if not begun:
                said.append(line)
            say(line)

        own, gpus = environment(os.environ), visible(plan.gpus, os.environ)
        given = handed_in({**os.environ, **gpus}) if plan.env.variant == "gpu" else {}
        with in_memory(plan.root) as workdir:
            options = confined(Path(prepared.what), workdir, gpu=plan.gpu, uid=os.geteuid())
            command = smoke_command(options, plan.smoke_arguments(hermetic=True))
            done = checked(plan, command, environ={**own, **given}, gpus=told(plan.gpus, os.environ, gpus), say=hear)
        failed = 0 < done.exit_code < 128 or done.exit_code == 255  # others are signals, which have a name
        if failed and not begun and not done.stdout.strip():
            why = fatal("\n".join(said))
            step = next((step for sign, step in _MEND if sign in why), "see its log in the report")
            raise EngineError(
                f"{plan.env.name}: Apptainer started no container: {why}",
                f"{step}; `apptainer exec {prepared.what} true` must work",
            )
        return done

    def place(self, plan: Plan) -> None:
        """None: the libraries were looked at where the image was built."""
