"""Whether an env can be used: what befell a run says nothing of the env."""

from __future__ import annotations

import pytest

from dlmatrix.document.fitness import UNFIT, UNTRIED, fitness, on_cpu
from dlmatrix.errors import BuildError, BusyError, DiskFullError, DlmatrixError, EngineError, HangError, NetworkError
from tests.unit import documents


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
    assert fitness(env | {"outcome": "failed"}) == (UNFIT, "so it was")


def test_a_witness_that_is_late_takes_no_figure_from_the_gpu() -> None:
    late = documents.check("detection", "failed", kind="detection")
    row = documents.row("cnn/train/eager/32/fp32/device", device="cuda")
    assert not on_cpu("gpu-torch-2.13", documents.document(late, throughput=documents.throughput([row])))
    skipped = row | {"outcome": "skipped"}
    assert on_cpu("gpu-torch-2.13", documents.document(late, throughput=documents.throughput([skipped])))
    assert not on_cpu("cpu-torch-2.13", documents.document(late))
