"""What TensorFlow 2 does while it is timed: one step in a tf.function (graph, jit) or eagerly."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Callable

import numpy
import tensorflow as tf

from smoke.backends import tf2_ops, tf_speed
from smoke.throughput import feeds, networks

if TYPE_CHECKING:
    from smoke.backends.tf2_backend import Backend
    from smoke.throughput.rows import Row


class Workload:
    """One row: ``run(n)`` takes n steps and waits for them."""

    def __init__(self, backend: Backend, row: Row) -> None:
        if row.precision == "bf16" and row.mode != "jit" and backend.gpus():
            tf_speed.require_kernels(tf_speed.kernels_of, tf.bfloat16.as_datatype_enum)
        tf2_ops.seed(0)
        network = networks.NETWORKS[row.model]
        self.net = tf_speed.Net(tf.compat.v1, network, networks.count(network).shapes, _variable)
        self.variables = list(self.net.trained.values())
        self.parameters = sum(int(numpy.prod(variable.shape)) for variable in self.variables)
        rule, settings = network.optimiser
        self.optimiser = tf2_ops.optimiser(rule, settings)
        # A compiled step may not make the optimiser's variables; up to 2.10 the method had another name.
        make = getattr(self.optimiser, "build", None) or self.optimiser._create_all_weights
        make(self.variables)
        self.precision = row.precision
        made = feeds.made(network, row)
        self.host = itertools.cycle(made) if row.feed == "host" else None
        self.batch = self._placed(*made[0])
        step = {"train": self._update, "infer": self._forward}[row.kind]
        if row.mode != "eager":
            step = tf.function(step, **({"jit_compile": True} if row.mode == "jit" else {}))
        self.step = step

    @staticmethod
    def _placed(images: Any, labels: Any) -> tuple[Any, Any]:
        return tf.constant(images), tf.constant(labels)

    def _forward(self, images: Any, labels: Any) -> Any:
        return self.net.forward(images, False, self.precision)[0]

    def _update(self, images: Any, labels: Any) -> Any:
        half, scale = self.precision == "amp", tf_speed.LOSS_SCALE
        with tf.GradientTape() as tape:
            logits, _ = self.net.forward(images, True, self.precision)
            loss = self.net.loss(logits, labels)
            scaled = loss * scale if half else loss
        grads = tape.gradient(scaled, self.variables)
        if half:
            grads = [grad / scale for grad in grads]
        self.optimiser.apply_gradients(zip(grads, self.variables))
        return loss

    def run(self, count: int) -> None:
        """Take ``count`` steps; the last one's result is waited for."""
        for _ in range(count):
            images, labels = self.batch if self.host is None else self._placed(*next(self.host))
            found = self.step(images, labels)
        found.numpy()

    def close(self) -> None:
        """Nothing is held open."""


def _variable(name: str, shape: tuple[int, ...], kind: str) -> Any:
    if kind == "kernel":
        value = tf.keras.initializers.GlorotUniform(seed=0)(shape)
    else:
        value = tf.ones(shape) if kind.endswith("ones") else tf.zeros(shape)
    return tf.Variable(value, trainable=not kind.startswith("running"), name=name.replace("/", "_"))


def matmul(backend: Backend, size: int, kind: str) -> Callable[[int], None]:
    """run(n): n products of two square matrices of float32, float16 or bfloat16."""
    if kind == "bfloat16" and backend.gpus():
        tf_speed.require_kernels(tf_speed.kernels_of, tf.bfloat16.as_datatype_enum, ("MatMul",))
    left = tf.cast(tf.random.uniform((size, size), seed=0), kind)
    return _repeated(lambda: tf.matmul(left, left))


def add(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n times one array of ``size`` numbers added to another, in place."""
    total, other = tf.Variable(tf.ones(size)), tf.ones(size)
    return _in_place(total, other)


def host_to_device(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n copies of ``size`` numbers from the host's memory."""
    with tf.device("/CPU:0"):
        source = tf.ones(size)

    def copy() -> Any:
        with tf.device("/GPU:0"):
            return tf.identity(source)[:1]

    return _repeated(copy)


def launch(backend: Backend) -> Callable[[int], None]:
    """run(n): n additions of one number."""
    return _in_place(tf.Variable(tf.ones(1)), tf.ones(1))


def _in_place(total: Any, other: Any) -> Callable[[int], None]:
    return _repeated(lambda: total.assign_add(other, read_value=False), lambda _: total[:1].numpy())


def _repeated(
    operation: Callable[[], Any], wait: Callable[[Any], Any] = lambda found: found[:1].numpy()
) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            found = operation()
        wait(found)

    return run


def device_memory(backend: Backend) -> int | None:
    """Bytes of the GPU's memory that TensorFlow may use, None on a CPU."""
    return tf_speed.gpu().memory_limit if backend.gpus() else None


def capability(backend: Backend) -> tuple[int, int] | None:
    """The GPU's compute capability, None on a CPU."""
    return tf_speed.capability(tf_speed.gpu().physical_device_desc) if backend.gpus() else None


def forget_peak(backend: Backend) -> None:
    """From now on count the peak of device memory anew."""
    if backend.gpus() and hasattr(tf.config.experimental, "reset_memory_stats"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def peak(backend: Backend) -> int | None:
    """The most that tensors took of the device's memory, None on a CPU."""
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if backend.gpus() else None
