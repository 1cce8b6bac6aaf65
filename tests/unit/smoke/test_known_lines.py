"""Lines that real frameworks wrote, and which of them an env is answerable for.

real_lines.json: what TensorFlow 1 and 2 and PyTorch wrote on real GPUs, from public issues, each with the version and
the issue ("owner/name#number", short for the well-known ones). Paths are shortened, and a line that was quoted without
its time has one put before it.
"""

import json
import os

import pytest

from smoke import logs
from smoke.checks import log_clean
from smoke.context import Context

AT = "2026-11-24 09:16:17.547939: "
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "real_lines.json")) as stream:
    REAL = json.load(stream)


def judged(entry, gpu=True):
    return logs.judge(entry["line"].split("\n"), entry["framework"], gpu)


@pytest.mark.parametrize("entry", REAL["healthy"], ids=lambda entry: entry["source"])
def test_what_a_healthy_gpu_says_is_no_failure(entry):
    assert judged(entry)[1:] == ({}, [])


@pytest.mark.parametrize("entry", REAL["marks"], ids=lambda entry: entry["source"])
def test_what_tells_of_the_machines_moment_is_a_mark(entry):
    known, marks, unknown = judged(entry)
    assert (known, list(marks.values()), unknown) == ({}, [1], [])


@pytest.mark.parametrize("entry", REAL["faults"], ids=lambda entry: entry["source"])
def test_what_a_real_fault_says_is_a_failure(entry):
    assert judged(entry) == ({}, {}, [entry["line"]])


def test_every_real_line_has_its_version_and_source():
    for entry in REAL["healthy"] + REAL["marks"] + REAL["faults"]:
        assert entry["version"]
        assert entry["source"]


@pytest.mark.parametrize(
    "line",
    [
        AT + "W tensorflow/stream_executor/cuda/cuda_driver.cc:263] failed call to cuInit: UNKNOWN ERROR (303)",
        AT + "E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to cuInit: INTERNAL: CUDA "
        "error: Failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        AT + "W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcuda.s"
        "o.1'; dlerror: libcuda.so.1: cannot open shared object file: No such file or directory",
    ],
)
def test_no_driver_is_known_only_where_no_gpu_was_given(line):
    known, marks, unknown = logs.judge([line], "tf2")
    assert (list(known.values()), marks, unknown) == ([1], {}, [])
    assert logs.judge([line], "tf2", gpu=True) == ({}, {}, [line])


@pytest.mark.parametrize(
    "line",
    [
        AT + "W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcud"
        "nn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory",
        AT + "W tensorflow/stream_executor/cuda/cuda_driver.cc:263] failed call to cuInit: CUDA_ERROR_UNKNOWN (999)",
        AT + "W tensorflow/core/framework/local_rendezvous.cc:404] Local rendezvous is aborting with status: INTERNAL:",
        AT + "W tensorflow/core/common_runtime/gpu/gpu_device.cc:1934] Cannot dlopen some GPU libraries.",
    ],
)
def test_a_missing_cuda_library_is_a_failure_without_a_gpu_too(line):
    assert logs.judge([line], "tf2") == ({}, {}, [line])


def checked(lines):
    context = Context("tf1", {"gpu": True}, 1, None, None)
    context.log = lines
    return log_clean.run(context)


def test_a_mark_is_shown_by_a_check_that_passes():
    line = REAL["marks"][0]["line"]
    found = checked([line, line])
    assert found.outcome == "passed"
    assert found.found.startswith("2 lines; little memory was free at a moment")
    assert found.found.endswith("(2 times)")
    assert list(found.data["marks"].values()) == [2]


def test_a_mark_does_not_hide_a_fault():
    fault = REAL["faults"][0]["line"]
    found = checked([REAL["marks"][0]["line"], fault])
    assert (found.outcome, found.found) == ("failed", [fault])
