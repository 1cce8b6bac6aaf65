"""The networks of smoke/throughput/networks.py as TensorFlow's operations: one text for graphs, functions and eager."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Callable, Iterable

from smoke.context import SkipError

if TYPE_CHECKING:
    from smoke.throughput.networks import Network

#: What the loss is multiplied with in float16, so that small gradients are not lost; bfloat16 has float32's range.
LOSS_SCALE = 1024.0
#: What convolutions and dense layers compute in; variables and losses are float32 in all of them.
DTYPES = {"amp": "float16", "bf16": "bfloat16"}
#: What the networks and their gradients are made of.
OPERATIONS = (
    *("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MatMul", "MaxPool", "MaxPoolGrad", "BiasAdd"),
    *("BiasAddGrad", "FusedBatchNormV3", "FusedBatchNormGradV3", "Relu", "ReluGrad", "AddV2", "Mean"),
)
#: Share of a batch's statistics that enters the running ones, as in torch.nn.BatchNorm2d.
NEW_SHARE = 0.1
EPSILON = 1e-5


class Net:
    """A network's variables and its forward pass; ``tf`` is tensorflow.compat.v1, which 2.x executes eagerly too."""

    def __init__(
        self,
        tf: Any,
        network: Network,
        shapes: dict[str, tuple[int, ...]],
        variable: Callable[[str, tuple[int, ...], str], Any],
    ) -> None:
        """``variable(name, shape, kind)`` makes one; kind is kernel, ones, zeros, running ones or running zeros."""
        self.tf = tf
        self.network = network
        kinds = {"kernel": "kernel", "bias": "zeros", "scale": "ones", "offset": "zeros"}
        self.trained = {name: variable(name, shape, kinds[name.split("/")[-1]]) for name, shape in shapes.items()}
        self.running = {}
        for name, shape in shapes.items():
            if name.endswith("/scale"):
                layer = name[: -len("/scale")]
                self.running[layer + "/mean"] = variable(layer + "/mean", shape, "running zeros")
                self.running[layer + "/variance"] = variable(layer + "/variance", shape, "running ones")

    def forward(self, x: Any, training: bool, precision: str = "fp32") -> tuple[Any, list[Any]]:
        """(logits in float32, the updates of running statistics)."""
        updates: list[Any] = []
        dtype = self.tf.as_dtype(DTYPES.get(precision, "float32"))
        output = self._walk(self.network.layers, self.tf.cast(x, dtype), training, dtype, updates)
        return self.tf.cast(output, self.tf.float32), updates

    def loss(self, logits: Any, labels: Any) -> Any:
        """The mean cross entropy."""
        tf = self.tf
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))

    def _walk(self, layers: Iterable[tuple[Any, ...]], x: Any, training: bool, dtype: Any, updates: list[Any]) -> Any:
        tf = self.tf
        for kind, *rest in layers:
            if kind == "conv":
                x = self._conv(x, dtype, rest)
            elif kind == "norm":
                x = self._norm(x, rest[0], training, updates)
            elif kind == "relu":
                x = tf.nn.relu(x)
            elif kind == "max_pool":
                size, stride, pad = rest
                # Zeros do for padding: what is pooled comes out of a relu.
                x = tf.nn.max_pool(self._padded(x, pad), [1, size, size, 1], [1, stride, stride, 1], "VALID")
            elif kind == "global_avg_pool":
                x = tf.reduce_mean(x, axis=[1, 2])
            elif kind == "flatten":
                x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
            elif kind == "dense":
                x = tf.matmul(x, tf.cast(self.trained[rest[0] + "/kernel"], dtype))
                x = tf.nn.bias_add(x, tf.cast(self.trained[rest[0] + "/bias"], dtype))
            elif kind == "residual":
                inner, shortcut = (self._walk(part, x, training, dtype, updates) for part in rest)
                x = inner + shortcut
            else:
                raise ValueError(f"no layer {kind!r}")
        return x

    def _padded(self, x: Any, pad: int) -> Any:
        return self.tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]]) if pad else x

    def _conv(self, x: Any, dtype: Any, layer: list[Any]) -> Any:
        tf = self.tf
        name, kernel, stride, pad, _, bias = layer
        # With a stride TensorFlow's SAME pads one side only; without, it is the same as padding both.
        same = stride == 1 and pad and 2 * pad == kernel - 1
        x = tf.nn.conv2d(
            x if same else self._padded(x, pad),
            tf.cast(self.trained[name + "/kernel"], dtype),
            [1, stride, stride, 1],
            "SAME" if same else "VALID",
        )
        return tf.nn.bias_add(x, tf.cast(self.trained[name + "/bias"], dtype)) if bias else x

    def _norm(self, x: Any, name: str, training: bool, updates: list[Any]) -> Any:
        tf = self.tf
        mean, variance = self.running[name + "/mean"], self.running[name + "/variance"]
        scale, offset = self.trained[name + "/scale"], self.trained[name + "/offset"]
        if not training:
            return tf.nn.fused_batch_norm(
                x, scale, offset, tf.identity(mean), tf.identity(variance), EPSILON, is_training=False
            )[0]
        x, batch_mean, batch_variance = tf.nn.fused_batch_norm(x, scale, offset, epsilon=EPSILON, is_training=True)
        updates += [
            running.assign_sub(NEW_SHARE * (running - new))
            for running, new in ((mean, batch_mean), (variance, batch_variance))
        ]
        return x


def require_kernels(
    kernels_of: Callable[[str], Iterable[Any]], dtype: int, operations: Iterable[str] = OPERATIONS
) -> None:
    """SkipError where an operation has no kernel for a GPU in this type: it would be computed on the CPU unsaid.

    ``kernels_of(operation)`` are TensorFlow's KernelDefs; ``dtype`` is the number of a DataType. Compiled by XLA
    none of them is needed.
    """
    for operation in operations:
        if not any(_takes(kernel, dtype) for kernel in kernels_of(operation) if kernel.device_type == "GPU"):
            raise SkipError(f"this TensorFlow has no kernel of {operation} in bfloat16 for a GPU")


def _takes(kernel: Any, dtype: int) -> bool:
    allowed = [constraint.allowed_values.list.type for constraint in kernel.constraint if constraint.name == "T"]
    return all(dtype in types for types in allowed)


def kernels_of(operation: str) -> Any:
    """The KernelDefs of an operation, as this build has them (there since 1.14; not a public name)."""
    from tensorflow.python.framework import kernels

    return kernels.get_registered_kernels_for_op(operation).kernel


@functools.lru_cache(maxsize=1)
def gpu() -> Any:
    """The first GPU as TensorFlow describes it (DeviceAttributes); listing wakes every device, once is enough."""
    from tensorflow.python.client import device_lib

    return next(device for device in device_lib.list_local_devices() if device.device_type == "GPU")


def capability(description: str) -> tuple[int, int] | None:
    """(major, minor) by a GPU's description, which ends "compute capability: 9.0"; None where it does not say."""
    found = re.search(r"compute capability: (\d+)\.(\d+)", description)
    return (int(found.group(1)), int(found.group(2))) if found else None
