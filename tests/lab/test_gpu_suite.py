"""The suite of tests/gpu end to end, on driver libraries that are the lab's: staged for real, answered by the doctor.

What needs the kernel's driver (nodes, memory, a framework's kernels) is skipped here with its reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.command import EXPECTED, OTHERWISE, SKIPPED, main
from tests.gpu.page import page
from tests.lab.machine import HEALTHY, build, merged

Suite = Callable[..., "tuple[int, dict[str, Any], Path]"]
_DAMAGED = {"nvidia/cudnn/lib/libcudnn.so.9": "whole"}
_FRAMEWORK = {
    "name": "torch",
    "version": "2.11.0+cu130",
    "built_cuda": "13.0",
    "arch_list": ["sm_80", "sm_90"],
    "count": 1,
    "wheels": {"nvidia_cudnn_cu13-9.19.0.56": _DAMAGED},
}


@pytest.fixture
def suite(stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """Run the suite on a machine of the lab: exit code, rows by name, the folder."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")

    def run(changes: Mapping[str, Any], *only: str) -> tuple[int, dict[str, Any], Path]:
        place = build(merged(HEALTHY, changes), tmp_path / "machine", stubs)
        python, out = tmp_path / "python", tmp_path / "out"
        packages = place.variables.get("PYTHONPATH", "")
        python.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{packages}" exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        with place.entered():
            os.environ.pop("PYTHONPATH", None)  # entered() puts back what was; monkeypatch would, later, the place's
            code = main(["--python", str(python), "--out", str(out), "--only", *only])
        rows = json.loads((out / "outcomes.json").read_text(encoding="utf-8"))["rows"]
        return code, {row["name"]: row for row in rows}, out

    return run


def test_what_is_as_expected_passes_and_the_folder_makes_a_page(suite: Suite) -> None:
    only = ("visible-*-second", "visible-space", "launch-blocking", "mps-folder", "small-shm", "empty-libcuda",
            "empty-nvml", "closed-*", "missing-*", "memory-held", "forced-jit", "checks", "container")  # fmt: skip
    code, rows, out = suite({}, *only)
    reasons = {row["reason"] for row in rows.values()}
    if any("namespace" in reason for reason in reasons):
        pytest.skip(f"this machine gives no namespace: {reasons}")
    passed = {name for name, row in rows.items() if row["outcome"] == "passed"}
    assert passed == {
        "healthy", "visible-beyond-second", "visible-minus-one-second", "visible-space", "launch-blocking",
        "mps-folder", "small-shm", "empty-libcuda", "empty-nvml",
    }, rows  # fmt: skip
    assert rows["empty-libcuda"]["found"] == "unusable ZERO_BYTE_LIB"
    assert rows["empty-nvml"]["found"] == "usable; warns NVML_UNUSABLE"
    skipped = {name: row["reason"] for name, row in rows.items() if row["outcome"] == "skipped"}
    assert skipped == {
        **{f"closed-{name}": f"there is no /dev/nvidia{path}"
           for name, path in (("gpu", "[0-9]*"), ("control", "ctl"), ("uvm", "-uvm"))},
        **{f"missing-{name}": f"there is no /dev/nvidia{path}"
           for name, path in (("gpu", "[0-9]*"), ("uvm", "-uvm"), ("all", "*"))},
        "memory-held": "the memory could not be taken",
        "forced-jit": "neither PyTorch nor TensorFlow is installed",
        "checks": "neither PyTorch nor TensorFlow is installed",
        "container": "no engine answers, or the image is not built",
    }  # fmt: skip
    assert code == EXPECTED
    text = page([out])
    assert "| libcuda.so.1 empty | unusable ZERO_BYTE_LIB | unusable ZERO_BYTE_LIB | passed |" in text
    assert "GPU-0" not in text
    assert str(out) not in text
    assert "empty-nvml: usable; warns NVML_UNUSABLE" in (out / "transcript.txt").read_text(encoding="utf-8")


def test_another_answer_than_expected_fails_the_suite(suite: Suite) -> None:
    # The lab's libcuda does not read the variable, and its torch loads no cuDNN: what is expected does not come.
    code, rows, _ = suite({"framework": _FRAMEWORK}, "visible-minus-one", "empty-cudnn", "empty-cublaslt", "forced-jit")
    assert code == OTHERWISE
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "healthy": "passed", "healthy-framework": "passed", "visible-minus-one": "failed", "empty-cudnn": "failed",
        "empty-cublaslt": "skipped", "forced-jit": "failed",
    }  # fmt: skip
    assert rows["visible-minus-one"]["found"] == "usable"
    assert rows["empty-cudnn"]["found"] == "usable WHEEL_DAMAGED"
    assert rows["empty-cublaslt"]["reason"] == "no installed wheel has libcublasLt.so.*"


def test_with_a_framework_that_is_not_well_the_faults_without_it_are_staged(suite: Suite) -> None:
    ill = _FRAMEWORK | {"import_error": "ImportError: no"}
    code, rows, _ = suite({"framework": ill}, "launch-blocking", "empty-cudnn")
    assert code == OTHERWISE
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "healthy": "passed", "healthy-framework": "failed", "launch-blocking": "passed", "empty-cudnn": "skipped",
    }  # fmt: skip
    assert rows["empty-cudnn"]["reason"] == "the framework cannot use the GPU without a fault either"


def test_on_a_machine_that_is_not_well_nothing_is_staged(suite: Suite) -> None:
    code, rows, out = suite({"returns": {"cuInit": 3}}, "*")
    assert (code, set(rows), rows["healthy"]["outcome"]) == (OTHERWISE, {"healthy"}, "failed")
    assert "not well: " in (out / "transcript.txt").read_text(encoding="utf-8")


def test_without_a_gpu_it_is_skipped_and_says_why(suite: Suite) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a GPU")
    code, rows, out = suite({"libraries": [], "driver": "", "gpus": []}, "*")
    assert (code, set(rows), rows["healthy"]["outcome"]) == (SKIPPED, {"healthy"}, "skipped")
    assert "skipped: NO_GPU: this machine has no NVIDIA GPU" in (out / "transcript.txt").read_text(encoding="utf-8")


_CARD = """
#include <stdio.h>
static size_t left = 1ul << 30;
int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &left; return device; }
int cuCtxSetCurrent(void *context) { return context == &left ? 0 : 201; }
int cuMemGetInfo_v2(size_t *free, size_t *total) { *free = left; *total = 1ul << 30; return 0; }
int cuMemAlloc_v2(unsigned long *at, size_t size) {  /* at most 100 MB in one piece, in pages of 2 MiB */
    size_t pages = (size + (2 << 20) - 1) >> 21 << 21;
    if (size > 100000000 || pages > left) return 2;
    left -= pages; *at = 1; fprintf(stderr, "%zu\\n", left); return 0;
}
"""


@pytest.mark.usefixtures("stubs")  # where gcc and no real libcuda is
def test_the_holder_leaves_what_it_was_told_and_goes_when_it_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "card.c").write_text("#include <stddef.h>\n" + _CARD)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "card.c")], check=True)
    program = Path(__file__).parents[1] / "gpu" / "hold.py"
    done = subprocess.run(
        [sys.executable, str(program), str(32 << 20)], input=b"", capture_output=True, check=True, timeout=60,
        env=dict(os.environ) | {"LD_LIBRARY_PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == b"held 1\n"
    assert 30 << 20 < int(done.stderr.split()[-1]) <= 32 << 20
