"""The machine of a run: its GPUs are those that NVML told of, where a gpu env has asked."""

from __future__ import annotations

from typing import Any

import pytest

from dlmatrix.matrix.model import Matrix
from dlmatrix.run import outside as module
from dlmatrix.run.outside import Outside

CARD = {"name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "serial": "1650123", "memory": {"total": 85_520_809_984}}


def test_gpus_are_asked_for_by_a_gpu_env_and_never_by_the_report(
    matrix: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(module, "detect", lambda *arguments: asked.append(arguments) or {"nvml": {"devices": [CARD]}})
    outside = Outside(matrix)
    assert outside.host()["name"]
    assert asked == []
    outside.pick(["gpu-torch"])
    (gpu,) = outside.host()["gpus"]
    assert gpu == {"name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-1", "memory_bytes": 85_520_809_984}
    assert len(asked) == 1
