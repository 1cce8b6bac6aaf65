"""What is asked of an env from outside: does this machine fit it, are its libraries whole, why is its GPU not used.

The answers have the form of the checks made inside, and stand beside them in the report.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.document.check import Check, Outcome, check_entry
from dlmatrix.engines.places import image_place
from dlmatrix.engines.protocol import Engine, Prepared
from dlmatrix.errors import IncompatibleError, UsageError
from dlmatrix.gpu.diagnosis import Diagnosis, Launch, diagnose, headline
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.doctor import detect
from dlmatrix.gpu.gate import Fit, Machine, judge, newest_that_runs
from dlmatrix.gpu.instead import machine_of
from dlmatrix.gpu.selection import unknown
from dlmatrix.inspection.library_check import library_closure
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import lock_of, select, versions_of
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.matrix.plan import ALL, NONE, Plan
from dlmatrix.run.verdict import no_room
from dlmatrix.system.host import describe
from dlmatrix.system.sources import made_by
from dlmatrix.system.state import recall, remember

_GPU = "nothing between the hardware and the framework keeps the GPU from being used"
#: Without a GPU or a driver an env is still built and checked on the CPU.
_GOES_ON = (Fit.FITS, Fit.COMPILES_FIRST, Fit.NO_GPU, Fit.NO_DRIVER, Fit.UNKNOWN)


class Outside:
    """This machine, as far as the envs of one run need it; looked at once, and only where a gpu env asks."""

    def __init__(self, matrix: Matrix, require_gpu: bool = False, gpus: tuple[str, ...] = ALL) -> None:
        self._matrix, self._require_gpu, self._gpus = matrix, require_gpu, gpus

    @functools.cached_property
    def _facts(self) -> dict[str, Any] | None:
        return detect(self._matrix.root, Path(sys.executable), None)

    def pick(self, names: Iterable[str]) -> tuple[tuple[Env, ...], tuple[str, ...]]:
        """The envs of these names, and what is to be said of the choice.

        A gpu session's name stands for the newest of its envs that this machine can run.
        """
        picked, remarks = [], []
        for name in names:
            versions = [env for env in versions_of(self._matrix, name) if env.status is not Status.IMPOSSIBLE]
            if len(versions) > 1 and versions[0].variant == "gpu" and self._gpus != NONE:
                locks = {env.name: lock_of(self._matrix, env) for env in versions}
                env, newer = newest_that_runs(load_compatibility(self._matrix.root), versions, self._machine, locks)
                picked.append(env.name)
                if newer:
                    why = "; ".join(f"{verdict.env}: {verdict.reason}" for verdict in newer)
                    remarks.append(f"{name}: takes {env.name}, the newest that this machine can run ({why})")
            else:
                picked.append(name)
        return select(self._matrix, picked), tuple(remarks)

    def host(self) -> dict[str, Any]:
        """This machine as a report names it; its GPUs as NVML told of them, where a gpu env has asked."""
        seen = self.__dict__.get("_facts")  # the cached property: a cpu env's report is not to start a look
        rows = View(seen, place="host").rows("nvml.devices")
        told = [
            {
                "name": row.text("name") or None,
                "uuid": row.text("uuid") or None,
                "memory_bytes": row.get("memory.total"),
            }
            for row in rows
        ]
        return describe(gpus=told)

    @functools.cached_property
    def _machine(self) -> Machine:
        return machine_of(self._facts, self._gpus)

    def gate(self, env: Env) -> None:
        """Refuse, before anything is built, an env whose kernels this machine's GPU or driver cannot run.

        Raises IncompatibleError naming the envs that would work, and UsageError for a GPU that is not here.
        """
        if env.variant == "cpu" or self._gpus == NONE:
            return
        rows = View(self._facts, place="host").rows("nvml.devices")
        if rows and (missing := unknown(rows, self._gpus)):
            raise UsageError(
                f"--gpus {','.join(missing)}: this machine has {', '.join(str(row.get('index')) for row in rows)}",
                "name one of these, or a UUID of `nvidia-smi -L`",
            )
        candidates = [e for e in self._matrix.envs if e.variant == "gpu" and e.status is not Status.IMPOSSIBLE]
        locks = {e.name: lock_of(self._matrix, e) for e in candidates}
        table = load_compatibility(self._matrix.root)
        fit = judge(table, env, self._machine, candidates, locks)
        if fit.fit not in _GOES_ON:
            instead = (
                f"these would work: {', '.join(fit.would_work)}" if fit.would_work else "no gpu env would work here"
            )
            raise IncompatibleError(f"{env.name}: {fit.reason}", instead)

    def gpus(self, env: Env) -> tuple[str, ...]:
        """The GPUs that the env is to be started with."""
        if env.variant == "cpu" or self._gpus == NONE:
            return () if env.variant == "cpu" else NONE
        return self._gpus if diagnose(self._facts).verdict == "usable" else ()

    def checks(
        self, engine: Engine, plan: Plan, prepared: Prepared, document: Mapping[str, Any], launch: Launch | None
    ) -> list[Check]:
        """Everything that is asked after the checks inside have run."""
        found = _libraries(engine, self._matrix, plan, prepared)
        if plan.gpus == NONE:
            reason = "it was to run without a GPU: --gpus none"
            found.append(check_entry("gpu-diagnosis", _GPU, Outcome.SKIPPED, reason, kind="detection", found=None))
        elif plan.env.variant == "gpu":
            diagnosis = diagnose(self._facts, launch, document.get("detection"))
            found.append(_gpu(diagnosis, no_room(document), self._require_gpu))
        return found


def _libraries(engine: Engine, matrix: Matrix, plan: Plan, prepared: Prepared) -> list[Check]:
    """The check of the libraries, made once for each image or environment and for what makes it.

    With an installation that is somebody else's, and may change under us, there is no place to look at.
    """
    made = made_by([library_closure.__module__, image_place.__module__], data=plan.root / "envs")
    of = hashlib.sha256(f"{prepared.what} {prepared.facts.get('key', '')} {made}".encode()).hexdigest()
    known = recall(plan.root, "outside", plan.env.name)
    if known.get("of") == of:
        return list(json.loads(known["checks"]))
    place = engine.place(plan)
    if place is None:
        return []
    checks = [library_closure(place, matrix, plan)]
    remember(plan.root, "outside", plan.env.name, of=of, checks=json.dumps(checks))
    return checks


def _gpu(diagnosis: Diagnosis, full: str, required: bool) -> Check:
    """The diagnosis as a check: no GPU is a skip with its cause, or a failure where one is required.

    So is a GPU whose memory others hold, all of it (the diagnosis says so) or too much for the checks (``full``).
    """
    otherwise = Outcome.FAILED if required else Outcome.SKIPPED
    outcome = {"usable": Outcome.PASSED, "unusable": Outcome.FAILED}.get(diagnosis.verdict, otherwise)
    held = [cause.label for cause in diagnosis.causes] == ["OOM_OTHER_PROCESS"]
    if held or (full and outcome is Outcome.PASSED):
        outcome = otherwise
    reason = full if full and not held else headline(diagnosis)
    return check_entry(
        "gpu-diagnosis",
        _GPU,
        outcome,
        "" if outcome is Outcome.PASSED else reason,
        kind="detection",
        found={"verdict": diagnosis.verdict, "causes": [c.label for c in diagnosis.causes]},
        warnings=[c.label for c in diagnosis.warnings],
        diagnosis=diagnosis.as_dict(),
    )
