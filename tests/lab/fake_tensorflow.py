"""Stands in for TensorFlow 2: gives the answers and prints the messages of lab_framework.json."""

import contextlib
import json
import os
import signal
import sys
from types import SimpleNamespace

_facts = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "lab_framework.json")))  # noqa: SIM115
for _line in _facts.get("messages", []):
    sys.stderr.write(_line + "\n")
sys.stderr.flush()
if "crash" in _facts:
    os.kill(os.getpid(), _facts["crash"])
if "hang" in _facts:
    signal.pause()
if "import_error" in _facts:
    raise ImportError(_facts["import_error"])
__version__ = _facts.get("version", "2.19.1")
test = SimpleNamespace(is_built_with_cuda=lambda: _facts.get("is_cuda_build", True), is_built_with_rocm=lambda: False)
sysconfig = SimpleNamespace(
    get_build_info=lambda: {"cuda_version": _facts.get("built_cuda") or "", "cudnn_version": "9"}
)
config = SimpleNamespace(list_physical_devices=lambda kind: ["GPU"] * _facts.get("count", 0))


class _Session:
    def __init__(self, config):
        assert config == {"gpu_options": {"allow_growth": True}}

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def run(self, _fetch):
        if "probe_error" in _facts:
            raise RuntimeError(_facts["probe_error"])
        return 512.0


class Graph:
    """Only what the probe uses."""

    def as_default(self):
        """A context that does nothing."""
        return contextlib.nullcontext()


compat = SimpleNamespace(v1=SimpleNamespace(Session=_Session, ConfigProto=dict, GPUOptions=dict))


def device(_name):
    """A context that does nothing."""
    return contextlib.nullcontext()


def ones(_shape):
    """Nothing in particular."""


matmul = lambda _a, _b: None  # noqa: E731
reduce_sum = ones
