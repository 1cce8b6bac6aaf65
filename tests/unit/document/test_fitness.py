"""Whether an env can be used: what befell a run says nothing of the env."""

from __future__ import annotations

import pytest

from dlmatrix.document.fitness import UNFIT, UNTRIED, fitness
from dlmatrix.errors import BuildError, BusyError, DiskFullError, DlmatrixError, EngineError, HangError, NetworkError


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (BusyError, UNTRIED),
        (NetworkError, UNTRIED),
        (DiskFullError, UNTRIED),
        (EngineError, UNTRIED),
        (BuildError, UNFIT),
        (HangError, UNFIT),
    ],
)
def test_what_only_befell_the_run_makes_no_env_unfit(error: type[DlmatrixError], word: str) -> None:
    env = {"name": "cpu-torch-2.13", "outcome": "error", "reason": "so it was", "exit_code": error.exit_code}
    assert fitness(env) == (word, "so it was")
