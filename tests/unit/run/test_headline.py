"""The headline of what went wrong: the cause, not its effects."""

from __future__ import annotations

from typing import Any

import pytest

from dlmatrix.run.headline import headline

SYMPY = "ModuleNotFoundError: No module named 'sympy'"


def check(name: str, reason: str) -> dict[str, Any]:
    return {"id": name, "reason": reason}


@pytest.mark.parametrize(
    ("checks", "says"),
    [
        ([check("dense", "0.3 off"), check("pooling", "0.2 off")], "dense: 0.3 off; pooling: 0.2 off"),
        (
            [
                check("log-clean", f"unexpected line: {SYMPY}"),
                check("dense", SYMPY),
                check("conv2d", SYMPY),
                check("imports", f"torch: {SYMPY}"),
                check("pooling", f"it ended in an error\nTraceback\n{SYMPY}"),
                check("reload", SYMPY),
            ],
            f"imports: torch: {SYMPY} (so do dense, conv2d, pooling and 2 more)",
        ),
        (
            [check("log-clean", "unexpected line: E tensorflow"), check("parity", "logits differ")],
            "parity: logits differ; log-clean: unexpected line: E tensorflow",
        ),
        (
            [
                check("duplicates", "two of numpy"),
                check("training", "could not write\nOSError: [Errno 28] No space left on device"),
                check("reload", "OSError: [Errno 28] No space left on device: '/tmp/x'"),
            ],
            "training: could not write (No space left on device) (so do reload); duplicates: two of numpy",
        ),
        (
            [
                check("guide-torch-add", "ImportError: libcudnn.so.9: cannot open shared object file: No such file"),
                check("imports", "ImportError: libcudnn.so.9: cannot open shared object file: No such file"),
                check("numpy-abi", "No module named numpy"),
            ],
            "imports: ImportError: libcudnn.so.9: cannot open shared object file: No such file "
            "(so do guide-torch-add); numpy-abi: No module named numpy",
        ),
        ([check("quiet", "")], "quiet: "),
        ([], ""),
    ],
)
def test_the_deepest_cause_leads_and_its_echoes_are_folded_under_it(checks: list[dict[str, Any]], says: str) -> None:
    assert headline(checks) == says
