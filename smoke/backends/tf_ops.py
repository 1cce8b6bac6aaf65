"""TensorFlow's single operations; one text for graphs under 1.x and for eager and tf.function under 2.x."""

from __future__ import annotations

import os
from typing import Any, Callable

#: What TensorFlow says where it has an operation but, on a CPU, not its gradient.
NO_GRADIENT = {"conv2d": "CPU implementations do not yet support dilation rates larger than 1"}


def _conv2d(tf: Any, t: dict[str, Any], a: dict[str, Any]) -> Any:
    rows, columns = a["pad"]
    padded = tf.pad(t["x"], [[0, 0], [rows, rows], [columns, columns], [0, 0]])
    output = tf.nn.conv2d(padded, t["kernel"], [1, *a["stride"], 1], "VALID", dilations=[1, *a["dilation"], 1])
    return tf.nn.bias_add(output, t["bias"])


def _window(size: int) -> list[int]:
    return [1, size, size, 1]


OPS: dict[str, Callable[[Any, dict[str, Any], dict[str, Any]], Any]] = {
    "conv2d": _conv2d,
    "max_pool": lambda tf, t, a: tf.nn.max_pool(t["x"], _window(a["size"]), _window(a["stride"]), "VALID"),
    "avg_pool": lambda tf, t, a: tf.nn.avg_pool(t["x"], _window(a["size"]), _window(a["stride"]), "VALID"),
    "global_avg_pool": lambda tf, t, a: tf.reduce_mean(t["x"], axis=[1, 2]),
    "dense": lambda tf, t, a: tf.nn.bias_add(tf.matmul(t["x"], t["kernel"]), t["bias"]),
    "relu": lambda tf, t, a: tf.nn.relu(t["x"]),
    "softmax": lambda tf, t, a: tf.nn.softmax(t["x"]),
    "cross_entropy": lambda tf, t, a: tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=t["labels"], logits=t["logits"]
    ),
}


def deterministic(tf: Any) -> str:
    """Turn on what this TensorFlow has for deterministic operations, before its first; the words of it."""
    enable = getattr(tf.config.experimental, "enable_op_determinism", None)
    if enable is not None:  # from 2.8 on
        enable()
        return "tf.config.experimental.enable_op_determinism()"
    # The first is read by 2.1 to 2.7 and by NVIDIA's builds of 1.15. Plain 1.15 reads the second, which is cuDNN's
    # alone: the bias's gradient stays as it was (https://github.com/NVIDIA/framework-determinism).
    os.environ.update(TF_DETERMINISTIC_OPS="1", TF_CUDNN_DETERMINISTIC="1")
    return "TF_DETERMINISTIC_OPS=1 and TF_CUDNN_DETERMINISTIC=1"


def precisions(tf: Any, gpus: int) -> tuple[str, ...]:
    """On a GPU float16 too, and TF32 where its switch and a GPU of Ampere (8.0) or later are there.

    Not bfloat16: TensorFlow's GPU kernels for it came one by one, and without one the CPU computes instead.
    """
    if not gpus:
        return ("float64", "float32")
    if not hasattr(tf.config.experimental, "enable_tensor_float_32_execution"):
        return ("float64", "float32", "float16")
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    modern = details.get("compute_capability", (0, 0)) >= (8, 0)
    return ("float64", "float32", "float16") + (("tf32",) if modern else ())


def build_info(tf: Any) -> dict[str, Any]:
    """What the build says of itself, in 1.x and 2.x."""
    found: dict[str, Any] = {"cuda_built": bool(tf.test.is_built_with_cuda()), "cuda": None, "cudnn": None}
    info = _info(tf)
    found.update(cuda=info.get("cuda_version"), cudnn=info.get("cudnn_version"))
    found["compiler"] = tf.version.COMPILER_VERSION if hasattr(tf, "version") else None
    found["git"] = tf.version.GIT_VERSION if hasattr(tf, "version") else None
    flags = getattr(getattr(tf, "sysconfig", None), "get_compile_flags", None)
    found["flags"] = list(flags()) if flags else []
    return found


def _info(tf: Any) -> dict[str, Any]:
    describe = getattr(getattr(tf, "sysconfig", None), "get_build_info", dict)
    return describe()


def architectures(tf: Any) -> list[str]:
    """["sm_60", …, "compute_90"]."""
    return list(_info(tf).get("cuda_compute_capabilities", ()))


def cudnn_compiled(tf: Any) -> tuple[int, ...] | None:
    """(9,) or (8, 9), as far as the build says it."""
    text = str(_info(tf).get("cudnn_version") or "")
    return tuple(int(number) for number in text.split(".") if number.isdigit()) or None
