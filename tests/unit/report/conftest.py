"""The results of a run with every kind of ending."""

from __future__ import annotations

import pytest

from dlmatrix.document.check import Outcome
from dlmatrix.engines.protocol import Prepared
from dlmatrix.matrix.load import select
from dlmatrix.matrix.model import Matrix
from dlmatrix.run.result import EnvResult
from tests.unit.documents import check, document
from tests.unit.report.page import sample


@pytest.fixture
def results(matrix: Matrix) -> list[EnvResult]:
    """One of each kind of ending."""
    passed, hung, impossible, gpu, failed = select(
        matrix, ["cpu-torch-2.13", "cpu-tf2-2.21", "gpu-tf1-1.15", "gpu-torch-2.13", "cpu-tf1-1.15"]
    )
    return [
        EnvResult(
            env=passed,
            outcome=Outcome.PASSED,
            exit_code=0,
            reason="2 passed, 1 skipped",
            prepared=Prepared(
                what="sha256:1", built=True, seconds=9.5, facts={"unpacked_bytes": 412_000_000, "base": "python"}
            ),
            seconds={"prepare": 9.5, "start": 0.25, "run": 10.0},
            document=document(
                check("imports", "passed"),
                check("training", "passed"),
                check("graph", "skipped", reason="only | for\ngraphs"),
                training={"test_accuracy": 0.98349},
                throughput={
                    "rows": [
                        sample.row("cnn", "train", "eager", 128, 1234.6, "cpu"),
                        sample.row("cnn", "train", "channels_last", 128, 900.0, "cpu"),
                        sample.row("cnn", "train", "eager", 512, 5000.0, "cpu"),
                        sample.row("cnn", "infer", "eager", 128, 1234.6, "cpu"),
                        sample.row("cnn", "infer", "compiled", 128, None, "cpu") | {"outcome": "skipped"},
                    ]
                },
            ),
            log=("a line", "another"),
        ),
        EnvResult(
            env=hung,
            outcome=Outcome.ERROR,
            exit_code=13,
            reason="did not end",
            next_step="see `its` log",
            log=("smoke: x ...",),
        ),
        EnvResult(env=impossible, outcome=Outcome.SKIPPED, exit_code=77, reason=impossible.reason),
        EnvResult(
            env=gpu,
            outcome=Outcome.SKIPPED,
            exit_code=77,
            reason="passed on the CPU; no driver",
            document=document(check("imports", "passed"), check("gpu", "skipped", "detection", "no driver")),
        ),
        EnvResult(
            env=failed,
            outcome=Outcome.FAILED,
            exit_code=1,
            reason="version: 1.14",
            document=document(
                check("version", "failed", reason="expected 1.15, \x1b[31mfound\x00 1.14\x1b[0m\ud800"),
                check("imports", "error", reason="broken <&>"),
                throughput={"rows": []},
            ),
        ),
    ]
