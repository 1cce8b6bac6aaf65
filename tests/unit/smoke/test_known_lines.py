"""Lines that real frameworks wrote, and which of them an env is answerable for."""

import pytest

from smoke import logs

AT = "2026-11-24 09:16:17.547939: "


@pytest.mark.parametrize(
    "line",
    [
        AT + "E tensorflow/stream_executor/cuda/cuda_blas.cc:2981] Unable to register cuBLAS factory: Attempting to",
        AT + "E external/local_xla/xla/stream_executor/cuda/cuda_dnn.cc:9261] Unable to register cuDNN factory: Attem",
        "E0000 00:00:1736841518.542173   68237 cuda_blas.cc:1418] Unable to register cuBLAS factory: Attempting to re",
        "W0000 00:00:1744015772.637017 3982776 computation_placer.cc:177] computation placer already registered. Plea",
        AT + "W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT",
        AT + "W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libnvi"
        "nfer_plugin.so.7'; dlerror: libnvinfer_plugin.so.7: cannot open shared object file",
        AT + "W tensorflow/stream_executor/cuda/cuda_driver.cc:263] failed call to cuInit: UNKNOWN ERROR (303)",
    ],
)
def test_known(line):
    known, unknown = logs.judge([line], "tf2")
    assert unknown == []
    assert sum(known.values()) == 1


@pytest.mark.parametrize(
    "line",
    [
        AT + "W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcud"
        "nn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory",
        AT + "W tensorflow/stream_executor/cuda/cuda_driver.cc:263] failed call to cuInit: CUDA_ERROR_UNKNOWN (999)",
        AT + "W tensorflow/core/common_runtime/gpu/gpu_device.cc:1934] Cannot dlopen some GPU libraries.",
    ],
)
def test_a_missing_cuda_library_is_not(line):
    assert logs.judge([line], "tf2") == ({}, [line])
