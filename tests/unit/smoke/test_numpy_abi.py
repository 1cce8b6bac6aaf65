"""What is NumPy's fault, and what is a GPU's."""

import pytest

from smoke.checks import numpy_abi
from tests.unit.smoke.facts import context


def refused(problem):
    made = context({})

    def op(name, arrays, attributes, upstream):
        raise problem

    made.backend.op = op
    return made


@pytest.mark.parametrize("words", ["Numpy is not available", "numpy.core.multiarray failed to import"])
def test_numpy_is_named(words):
    assert "fix the pin" in numpy_abi.run(refused(RuntimeError(words))).reason


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "CUDA error: no kernel image is available for execution on the device",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
        "GPU sync failed",
    ],
)
def test_a_gpu_that_refuses_is_not_numpys_fault(words):
    with pytest.raises(RuntimeError):
        numpy_abi.run(refused(RuntimeError(words)))
