"""What TensorFlow 1 does while it is timed: one step of a graph in a Session."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Callable

import tensorflow.compat.v1 as tf

from smoke.backends import tf1_ops, tf_speed
from smoke.throughput import feeds, networks

if TYPE_CHECKING:
    from smoke.backends.tf1_backend import Backend
    from smoke.throughput.networks import Network
    from smoke.throughput.rows import Row


class Workload:
    """One row: ``run(n)`` takes n steps and waits for them; it holds a Session until it is closed."""

    def __init__(self, backend: Backend, row: Row) -> None:
        if row.precision == "bf16" and backend.gpus():
            tf_speed.require_kernels(tf_speed.kernels_of, tf.bfloat16.as_datatype_enum)
        network = networks.NETWORKS[row.model]
        made = feeds.made(network, row)
        graph = tf.Graph()
        with graph.as_default():
            tf.set_random_seed(0)
            x = tf.placeholder(tf.float32, (row.batch, *network.input))
            y = tf.placeholder(tf.int64, (row.batch,))
            # Variables lie on the device, and no constant is folded away.
            images, labels = (
                _variable(name, like.shape, "running zeros", like.dtype)
                for name, like in (("images", x), ("labels", y))
            )
            place = [images.assign(x), labels.assign(y)]
            if row.feed == "host":
                images, labels = x, y
            self.target = _target(network, row, tf.identity(images), tf.identity(labels))
            start = tf.global_variables_initializer()
            self.parameters = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        self.session = backend.session(graph)
        self.session.run(start)
        self.session.run(place, {x: made[0][0], y: made[0][1]})
        batches = [{x: x_, y: y_} for x_, y_ in made] if row.feed == "host" else [None]
        self.feeds = itertools.cycle(batches)

    def run(self, count: int) -> None:
        """Take ``count`` steps; a Session returns when a step is done."""
        for _ in range(count):
            self.session.run(self.target, next(self.feeds))

    def close(self) -> None:
        """Let go of the Session."""
        self.session.close()


def _target(network: Network, row: Row, images: Any, labels: Any) -> Any:
    """The operation of one step."""
    net, half = tf_speed.Net(tf, network, networks.count(network).shapes, _variable), row.precision == "amp"
    logits, updates = net.forward(images, row.kind == "train", row.precision)
    if row.kind == "infer":
        return logits.op
    variables = list(net.trained.values())
    loss = net.loss(logits, labels)
    grads = tf.gradients(loss * tf_speed.LOSS_SCALE if half else loss, variables)
    if half:
        grads = [grad / tf_speed.LOSS_SCALE for grad in grads]
    rule, settings = network.optimiser
    step = tf1_ops.optimiser(rule, settings).apply_gradients(zip(grads, variables))
    return tf.group(step, *updates)


def _variable(name: str, shape: Any, kind: str, dtype: Any = tf.float32) -> Any:
    initial = {"kernel": tf.glorot_uniform_initializer(seed=0), "ones": tf.ones_initializer()}
    initial = initial.get(kind.rsplit(" ", maxsplit=1)[-1], tf.zeros_initializer())
    trainable = not kind.startswith("running")
    return tf.get_variable(name, shape, dtype, initializer=initial, trainable=trainable, use_resource=True)


def matmul(backend: Backend, size: int, kind: str) -> Callable[[int], None]:
    """run(n): n products of two square matrices of float32, float16 or bfloat16."""
    if kind == "bfloat16" and backend.gpus():
        tf_speed.require_kernels(tf_speed.kernels_of, tf.bfloat16.as_datatype_enum, ("MatMul",))
    with tf.Graph().as_default() as graph:
        start = tf.random_uniform((size, size), seed=0)
        left = tf.Variable(tf.cast(start, kind), use_resource=True)
        return _repeated(backend, graph, tf.matmul(left, left).op)


def add(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n times one array of ``size`` numbers added to another, in place."""
    with tf.Graph().as_default() as graph:
        total, other = (tf.Variable(tf.ones(size), use_resource=True) for _ in range(2))
        return _repeated(backend, graph, total.assign_add(other, read_value=False))


def host_to_device(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n copies of ``size`` numbers from the host's memory."""
    with tf.Graph().as_default() as graph:
        with tf.device("/CPU:0"):
            source = tf.Variable(tf.ones(size), use_resource=True)
        with tf.device("/GPU:0"):
            return _repeated(backend, graph, tf.identity(source).op)


def launch(backend: Backend) -> Callable[[int], None]:
    """run(n): n additions of one number."""
    with tf.Graph().as_default() as graph:
        one = tf.Variable(tf.ones(1), use_resource=True)
        return _repeated(backend, graph, one.assign_add(tf.ones(1), read_value=False))


def _repeated(backend: Backend, graph: Any, operation: Any) -> Callable[[int], None]:
    session = backend.session(graph)
    session.run(tf.global_variables_initializer())

    def run(count: int) -> None:
        for _ in range(count):
            session.run(operation)

    return run


def device_memory(backend: Backend) -> int | None:
    """Bytes of the GPU's memory that TensorFlow may use, None on a CPU."""
    return tf_speed.gpu().memory_limit if backend.gpus() else None


def capability(backend: Backend) -> tuple[int, int] | None:
    """The GPU's compute capability, None on a CPU."""
    return tf_speed.capability(tf_speed.gpu().physical_device_desc) if backend.gpus() else None


def forget_peak(backend: Backend) -> None:
    """A Session's peak cannot be forgotten."""


def peak(backend: Backend) -> int | None:
    """The most that tensors took of the device's memory: a Session does not say."""
