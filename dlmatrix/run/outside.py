"""What is asked of an env from outside: does this machine fit it, are its libraries whole, why is its GPU not used.

The answers have the form of the checks made inside, and stand beside them in the report.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlmatrix.document.check import Check, Outcome, check_entry
from dlmatrix.engines.places import image_place
from dlmatrix.engines.protocol import Engine, Prepared
from dlmatrix.errors import IncompatibleError
from dlmatrix.gpu.diagnosis import Diagnosis, Launch, diagnose, headline
from dlmatrix.gpu.doctor import detect
from dlmatrix.gpu.gate import Fit, judge
from dlmatrix.gpu.show import machine_of
from dlmatrix.inspection.library_check import library_closure
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import lock_of
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.verdict import no_room
from dlmatrix.system.sources import made_by
from dlmatrix.system.state import recall, remember

#: Without a GPU or a driver an env is still built and checked on the CPU.
_GOES_ON = (Fit.FITS, Fit.COMPILES_FIRST, Fit.NO_GPU, Fit.NO_DRIVER, Fit.UNKNOWN)


class Outside:
    """This machine, as far as the envs of one run need it; looked at once, and only where a gpu env asks."""

    def __init__(self, matrix: Matrix, require_gpu: bool = False) -> None:
        self._matrix, self._require_gpu = matrix, require_gpu

    @functools.cached_property
    def _facts(self) -> dict[str, Any] | None:
        return detect(self._matrix.root, Path(sys.executable), None)

    def gate(self, env: Env) -> None:
        """Refuse, before anything is built, an env whose kernels this machine's GPU or driver cannot run.

        Raises IncompatibleError naming the envs that would work.
        """
        if env.variant == "cpu":
            return
        candidates = [e for e in self._matrix.envs if e.variant == "gpu" and e.status is not Status.IMPOSSIBLE]
        locks = {e.name: lock_of(self._matrix, e) for e in candidates}
        table = load_compatibility(self._matrix.root)
        fit = judge(table, env, machine_of(self._facts), candidates, locks)
        if fit.fit not in _GOES_ON:
            instead = (
                f"these would work: {', '.join(fit.would_work)}" if fit.would_work else "no gpu env would work here"
            )
            raise IncompatibleError(f"{env.name}: {fit.reason}", instead)

    def gpu(self, env: Env) -> bool:
        """Whether the env is to be started with the machine's GPUs."""
        return env.variant == "gpu" and diagnose(self._facts).verdict == "usable"

    def checks(
        self, engine: Engine, plan: Plan, prepared: Prepared, document: Mapping[str, Any], launch: Launch | None
    ) -> list[Check]:
        """Everything that is asked after the checks inside have run."""
        found = _libraries(engine, self._matrix, plan, prepared)
        if plan.env.variant == "gpu":
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
        "nothing between the hardware and the framework keeps the GPU from being used",
        outcome,
        "" if outcome is Outcome.PASSED else reason,
        kind="detection",
        found={"verdict": diagnosis.verdict, "causes": [c.label for c in diagnosis.causes]},
        warnings=[c.label for c in diagnosis.warnings],
        diagnosis=diagnosis.as_dict(),
    )
