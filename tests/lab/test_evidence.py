"""What the evidence of a cause says, where the cause alone does not tell what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.machine import HEALTHY, merged
from tests.lab.scenario import facts_of, load, play


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("44-cvd-hides-gpu-twice", "GPU 0 is named more than once"),
        ("44-cvd-hides-gpu-held-by-vfio", "0000:02:00.0 is bound to vfio-pci"),
        ("88-address-space-limit", "11.4 GiB of addresses (ulimit -v 12000000)"),
        ("89-open-files-limit", "the process may open 40 files (ulimit -n)"),
        ("90-jit-variable", "CUDA_FORCE_PTX_JIT=1"),
        ("91-nvml-unusable", "file too short"),
        ("92-nodes-remade", "/dev/nvidia0: made when the driver was asked"),
        ("93-wheel-damaged-cudnn", "nvidia-cudnn-cu13==9.19.0.56"),
        ("93-wheel-damaged-cublas", "libcublasLt.so.13: empty, 0 bytes instead of 520; of nvidia-cublas==13.1.0.3"),
        ("93-wheel-damaged-convolution", "libcudnn_engines_precompiled.so.9: empty"),
        ("93-wheel-damaged-missing", "libcudart.so.13: missing; of nvidia-cuda-runtime==13.0.96"),
        ("94-slowing-variables-several", "NVIDIA_TF32_OVERRIDE=0: "),
    ],
)
def test_evidence_says_which(name: str, words: str, stubs: Path, tmp_path: Path) -> None:
    diagnosis, _ = play(load(name), tmp_path, stubs)
    (cause,) = (*diagnosis.causes, *diagnosis.warnings)
    assert any(words in line for line in cause.evidence), cause.evidence


def test_the_doctor_is_not_who_holds_the_memory(stubs: Path, tmp_path: Path) -> None:
    diagnosis, documents = play(load("47-oom-other-process-not-the-doctor"), tmp_path, stubs)
    pids = [process["pid"] for process in documents["host"]["nvml"]["devices"][0]["processes"]]
    assert len(pids) == 2
    assert "processes on the GPU: 4000" in diagnosis.causes[0].evidence


def test_every_process_of_the_examination_is_known(stubs: Path, tmp_path: Path) -> None:
    torch = {"name": "torch", "count": 1}
    facts = facts_of(merged(HEALTHY, {"framework": torch}), tmp_path, stubs, limit=30)
    pids = [facts["pid"], *(facts[name]["witness"]["pid"] for name in ("kernel", "nvml", "cuda", "framework"))]
    assert len(set(pids)) == 5
    assert all(isinstance(pid, int) for pid in pids)
