"""The framework and NumPy understand each other's arrays."""

from __future__ import annotations

import re

import numpy

from smoke.context import Context, Result, failed, passed

ID = "numpy-abi"
KIND = "verify"
ASSERTS = "arrays go into the framework and come back unchanged: it was compiled for this NumPy's interface"
APPLIES: dict[str, tuple[str, ...]] = {}

#: What a GPU refuses is no matter of NumPy's, and another check's.
GPU = re.compile(r"\bCU(DA|BLAS|DNN)|\bcuDNN|\bGPU\b|out of memory", re.I)


def run(context: Context) -> Result:
    """Through the identity part of ReLU and back."""
    array = numpy.arange(6, dtype="float32").reshape(2, 3)
    advice = "the framework was compiled for another NumPy (numpy<2 for wheels from before mid-2024): fix the pin"
    try:
        back, _ = context.backend.op("relu", {"x": array}, {}, None)
    except (RuntimeError, TypeError, ImportError) as problem:
        text = f"{type(problem).__name__}: {problem}"
        if GPU.search(text):
            raise
        return failed(f"{text}; {advice}", f"numpy {numpy.__version__} works", text)
    if back.dtype != array.dtype or not (back == array).all():
        return failed(advice, array.tolist(), back.tolist())
    return passed("numpy " + numpy.__version__)
