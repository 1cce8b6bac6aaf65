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
    raise ImportError(_facts["import_error"].replace("{packages}", os.path.dirname(os.path.abspath(__file__))))
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

    def run(self, fetch):
        if fetch + "_error" in _facts:
            raise RuntimeError(_facts[fetch + "_error"])
        return 512.0


class Graph:
    """Only what the probe uses."""

    def as_default(self):
        """A context that does nothing."""
        return contextlib.nullcontext()


#: What is computed is the name of the step, whose failure the scenario may order.
compat = SimpleNamespace(
    v1=SimpleNamespace(
        Session=_Session, ConfigProto=dict, GPUOptions=dict,
        random_uniform=lambda _shape: None, gradients=lambda result, _by: [result],
    )
)  # fmt: skip
nn = SimpleNamespace(conv2d=lambda _image, _kernel, _strides, _padding: "convolution")


def device(_name):
    """A context that does nothing."""
    return contextlib.nullcontext()


matmul = lambda _a, _b: "probe"  # noqa: E731
reduce_sum = lambda value: value  # noqa: E731
