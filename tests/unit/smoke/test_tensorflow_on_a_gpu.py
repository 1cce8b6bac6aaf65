"""What the TensorFlow backends set before they compute; TensorFlow is a stand-in that remembers what it was told."""

import importlib
import os
import sys
from unittest import mock

import pytest

MODULES = ("tensorflow", "tensorflow.compat", "tensorflow.compat.v1")


@pytest.fixture
def backend(monkeypatch):
    """(name) -> (a Backend of smoke.backends.<name>, the tensorflow it imported)."""

    def made(name):
        tensorflow = mock.MagicMock()
        for module in MODULES:
            monkeypatch.setitem(sys.modules, module, tensorflow)
        tensorflow.compat.v1 = tensorflow.compat = tensorflow
        for module in [module for module in sys.modules if module.startswith("smoke.backends.tf")]:
            monkeypatch.delitem(sys.modules, module)
        loaded = importlib.import_module("smoke.backends." + name).Backend(2)
        for module in [module for module in sys.modules if module.startswith("smoke.backends.tf")]:
            monkeypatch.delitem(sys.modules, module)
        return loaded, tensorflow

    return made


@pytest.mark.parametrize("name", ["tf2_backend", "tf1_backend"])
def test_float32_is_float32_from_the_start(backend, name):
    _, tensorflow = backend(name)
    tensorflow.config.experimental.enable_tensor_float_32_execution.assert_called_once_with(False)


def test_an_allocation_that_raises_leaves_placement_as_it_was(backend):
    loaded, tensorflow = backend("tf2_backend")
    tensorflow.config.get_soft_device_placement.return_value = True
    tensorflow.ones.side_effect = RuntimeError("unknown device")
    with pytest.raises(RuntimeError):
        loaded.allocate(7)
    assert tensorflow.config.set_soft_device_placement.call_args_list == [mock.call(False), mock.call(True)]


def test_counting_gpus_takes_no_memory_of_theirs(backend):
    loaded, tensorflow = backend("tf1_backend")
    tensorflow.config.experimental.list_physical_devices.return_value = ["GPU:0", "GPU:1"]
    with mock.patch.dict(sys.modules, {"tensorflow.python.client": None}):
        assert loaded.gpus() == 2


@pytest.mark.parametrize(("name", "promised"), [("tf2_backend", True), ("tf1_backend", False)])
def test_the_switch_for_deterministic_operations(backend, name, promised, monkeypatch):
    for variable in ("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC"):
        monkeypatch.setenv(variable, "0")
    loaded, tensorflow = backend(name)
    assert loaded.deterministic() == ("tf.config.experimental.enable_op_determinism()", promised)
    tensorflow.config.experimental.enable_op_determinism.assert_called_once_with()
    assert os.environ["TF_DETERMINISTIC_OPS"] == "0"


def test_an_older_tensorflow_has_variables_for_it(backend, monkeypatch):
    for variable in ("TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC"):
        monkeypatch.setenv(variable, "0")
    loaded, tensorflow = backend("tf1_backend")
    tensorflow.config.experimental = mock.MagicMock(spec=[])
    assert loaded.deterministic() == ("TF_DETERMINISTIC_OPS=1 and TF_CUDNN_DETERMINISTIC=1", False)
    assert (os.environ["TF_DETERMINISTIC_OPS"], os.environ["TF_CUDNN_DETERMINISTIC"]) == ("1", "1")
