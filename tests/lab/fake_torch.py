"""Stands in for torch: gives the answers and prints the messages of lab_framework.json."""

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
for _name in _facts.get("refuses", []):
    if _name in os.environ:
        raise RuntimeError(f"{_name} has a value that is not known")
__version__ = _facts.get("version", "2.7.1+cu126")
version = SimpleNamespace(cuda=_facts.get("built_cuda"), hip=_facts.get("built_hip"))
_C = SimpleNamespace(_cuda_getArchFlags=lambda: " ".join(_facts.get("arch_list", [])))
backends = SimpleNamespace(
    cudnn=SimpleNamespace(version=lambda: _facts.get("cudnn", 90100) or None, is_available=lambda: bool(version.cuda))
)


def _init():
    if "init_error" in _facts:
        raise RuntimeError(_facts["init_error"])


cuda = SimpleNamespace(
    is_available=lambda: _facts.get("available", _facts.get("count", 0) > 0),
    device_count=lambda: _facts.get("count", 0),
    init=_init,
    get_device_name=lambda index: "lab",
    get_device_properties=lambda index: SimpleNamespace(name="lab", total_memory=40 << 30),
    get_arch_list=lambda: _facts.get("arch_list", []),
    get_device_capability=lambda index: tuple(_facts.get("capability", (8, 0))),
)


def ones(*_shape, device, requires_grad=False):
    """Fails as the scenario says, else behaves enough like a matrix."""
    if "probe_error" in _facts:
        raise RuntimeError(_facts["probe_error"])
    return _Matrix()


class _Matrix:
    def __matmul__(self, other):
        return self

    def sum(self):
        return _Number(512.0)

    @property
    def grad(self):
        return self


class _Number(float):
    def backward(self):
        pass


def _conv2d(_image, _kernel):
    if "convolution_error" in _facts:
        raise RuntimeError(_facts["convolution_error"])
    return _Matrix()


class _Anything:
    """Takes part in a step of training: whatever is asked of it is there, and gives itself."""

    def __getattr__(self, _name):
        return self

    def __call__(self, *_positional, **_named):
        if set(_facts.get("step_refuses", [])) & set(os.environ):
            raise RuntimeError("Unrecognized option")
        return self


nn = SimpleNamespace(
    functional=SimpleNamespace(conv2d=_conv2d),
    Sequential=_Anything(),
    Conv2d=_Anything(),
    Flatten=_Anything(),
    Linear=_Anything(),
)
optim = rand = _Anything()
