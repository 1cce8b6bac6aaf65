"""The stub libraries, compiled once per session."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from tests.lab.machine import compile_stubs


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with nvml.so, cuda.so and nodes.so."""
    if shutil.which("gcc") is None:
        pytest.skip("the lab compiles its stub drivers: install gcc")
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return compile_stubs(tmp_path_factory.mktemp("stubs"))
    pytest.skip("this machine has a real libcuda, which would answer where a scenario has none")
