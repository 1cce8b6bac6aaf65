"""Whether what an env loads finds the libraries it needs, as a check of its run."""

from __future__ import annotations

import time

from dlmatrix.document.check import Check, Outcome, check_entry
from dlmatrix.inspection.closure import check_closure, describe
from dlmatrix.inspection.libraries import load_libraries
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.plan import Plan


def library_closure(place: Place, matrix: Matrix, plan: Plan) -> Check:
    """Look at an installed env, running nothing of it."""
    started = time.perf_counter()
    build = load_compatibility(matrix.root).build_of(plan.env)
    closure = check_closure(place, plan.env, load_libraries(), build, plan.lock)
    reason = "" if closure.complete else "; ".join(describe(closure))
    return check_entry(
        "library-closure",
        "every shared object that something loads finds what it needs, less what the host's driver brings",
        Outcome.PASSED if closure.complete else Outcome.FAILED,
        reason,
        kind="verify",
        found={
            "objects": closure.objects,
            "loaded": closure.loaded,
            "driver": list(closure.driver),
            "notes": list(closure.notes),
        },
        seconds=time.perf_counter() - started,
    )
