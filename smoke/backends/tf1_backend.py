"""TensorFlow as graphs in Sessions: 1.x itself, and the same program through tf.compat.v1 under 2.x."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Iterable

import tensorflow
import tensorflow.compat.v1 as tf

from smoke import model
from smoke.backends import tf1_ops, tf_ops

if TYPE_CHECKING:
    import numpy


class Backend:
    """Graphs only; nothing is switched for the whole process, so a guide's program is not affected."""

    DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "nvidia-tensorflow")
    MODES = ("graph",)
    NO_GRADIENT = tf_ops.NO_GRADIENT

    def __init__(self, threads: int, at_once: int = 1) -> None:
        self.module = tensorflow
        self.threads = threads
        self.at_once = at_once
        # From Ampere on the float32 of 2.x is TF32 unless it is told otherwise.
        self.precision(False)

    def versions(self) -> dict[str, str]:
        """The framework's own word for its version."""
        return {"tensorflow": tensorflow.__version__}

    def build(self) -> dict[str, Any]:
        """What the build says of itself."""
        return tf_ops.build_info(tensorflow)

    def gpus(self) -> int:
        """How many GPUs the framework sees; device_lib would take the memory of each for saying so."""
        return len(tensorflow.config.experimental.list_physical_devices("GPU"))

    def architectures(self) -> list[str]:
        """What the build holds kernels for (2.4 and later say so)."""
        return tf_ops.architectures(tensorflow)

    def cudnn_compiled(self) -> tuple[int, ...] | None:
        """The numbers of the cuDNN version that the build was compiled for."""
        return tf_ops.cudnn_compiled(tensorflow)

    def nccl(self) -> tuple[int, ...] | None:
        """NCCL is linked into TensorFlow's own library."""

    def allocate(self, index: int) -> float:
        """Put one number on a GPU and read it back."""
        with tf.Graph().as_default() as graph, tf.device(f"/GPU:{index}"):
            one = tf.ones(1)
            with tf.Session(graph=graph, config=tf.ConfigProto(allow_soft_placement=False)) as session:
                return float(session.run(one)[0])

    def precision(self, tf32: bool) -> None:
        """Allow TF32, or not; 1.15 has no switch, and has no kernels that use it."""
        switch = getattr(tensorflow.config.experimental, "enable_tensor_float_32_execution", None)
        if switch is not None:
            switch(tf32)

    def deterministic(self) -> tuple[str, bool]:
        """What there is. A Session promises nothing with any of it (documentation of enable_op_determinism)."""
        return tf_ops.deterministic(tensorflow), False

    def precisions(self) -> tuple[str, ...]:
        """The formats that the device multiplies in."""
        return tf_ops.precisions(tensorflow, self.gpus())

    def session(self, graph: Any) -> Any:
        """A Session with the thread counts that are recorded."""
        options = tf.ConfigProto(
            intra_op_parallelism_threads=self.threads,
            inter_op_parallelism_threads=self.at_once,
            gpu_options=tf.GPUOptions(allow_growth=True),
        )
        return tf.Session(graph=graph, config=options)

    def op(
        self,
        name: str,
        arrays: dict[str, Any],
        attributes: dict[str, Any],
        upstream: numpy.ndarray | None,
        *,
        dtype: str = "float32",
        mode: str = "graph",
    ) -> tuple[numpy.ndarray, dict[str, numpy.ndarray]]:
        """One operation and its gradients by tf.gradients."""
        with tf.Graph().as_default() as graph:
            tensors = {key: tf1_ops.placeholder(array, dtype) for key, array in arrays.items()}
            floats = sorted(key for key, tensor in tensors.items() if tensor.dtype.is_floating)
            output = tf_ops.OPS[name](tf, tensors, attributes)
            grads = []
            if upstream is not None:
                grads = tf.gradients(output, [tensors[key] for key in floats], tf.constant(upstream.astype(dtype)))
            with self.session(graph) as session:
                feed = {tensors[key]: array for key, array in arrays.items()}
                output, grads = session.run([output, grads], feed)
        return output, dict(zip(floats, grads))

    def optimise(
        self, rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
    ) -> list[numpy.ndarray]:
        """The weight after each step of the framework's own optimiser."""
        return tf1_ops.optimise(self, rule, settings, weight, gradients)

    def decay(self, schedule: str, settings: dict[str, Any], steps: int) -> list[float]:
        """The learning rate the framework's schedule gives at each step."""
        return tf1_ops.decay(self, schedule, settings, steps)

    def initial(self, scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
        """A kernel filled by the framework's initialiser."""
        return tf1_ops.initial(self, scheme, shape, seed)

    def batch_norm(self, x: numpy.ndarray, settings: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
        """``steps`` training passes, then one at inference."""
        return tf1_ops.batch_norm(self, x, settings, steps)

    def dropout(self, x: numpy.ndarray, rate: float, training: bool, seed: int) -> numpy.ndarray:
        """The framework's dropout of ``x``."""
        return tf1_ops.dropout(self, x, rate, training, seed)

    def load_all(self, samples: Any, batch: int) -> list[numpy.ndarray]:
        """What a shuffling tf.data pipeline with prefetch delivers."""
        return tf1_ops.load_all(self, samples, batch)

    def classifier(self, seed: int = 0, optimiser: str = "adam", rate: float = 1e-3, mode: str = "graph") -> Classifier:
        """The CNN."""
        return Classifier(self, seed, optimiser, rate)


class Classifier:
    """The CNN of smoke/model.py as a graph; it holds a Session until it is closed."""

    def __init__(self, backend: Backend, seed: int, optimiser: str, rate: float) -> None:
        self.backend = backend
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.set_random_seed(seed)
            self._build(optimiser, rate)
            self.saver = tf.train.Saver(self.variables)
            start = tf.global_variables_initializer()
        self.session = backend.session(self.graph)
        self.session.run(start)

    def _build(self, optimiser: str, rate: float) -> None:
        self.x = tf.placeholder(tf.float32, (None, *model.INPUT))
        self.y = tf.placeholder(tf.int64, (None,))
        self.variables = {
            name: tf.get_variable(
                name,
                shape,
                initializer=tf.zeros_initializer() if name.endswith("bias") else tf.glorot_uniform_initializer(),
                use_resource=True,
            )
            for name, shape in model.shapes().items()
        }
        hidden, window = self.x, [1, model.POOL, model.POOL, 1]
        for name, _ in model.CONVOLUTIONS:
            hidden = tf.nn.conv2d(hidden, self.variables[name + "/kernel"], [1, 1, 1, 1], "VALID")
            hidden = tf.nn.relu(tf.nn.bias_add(hidden, self.variables[name + "/bias"]))
            hidden = tf.nn.max_pool(hidden, window, window, "VALID")
        height, width, channels = model.last_map()
        hidden = tf.reshape(hidden, [-1, height * width * channels])
        last = model.DENSE[-1][0]
        for name, _ in model.DENSE:
            hidden = tf.matmul(hidden, self.variables[name + "/kernel"])
            hidden = tf.nn.bias_add(hidden, self.variables[name + "/bias"])
            hidden = hidden if name == last else tf.nn.relu(hidden)
        self.out = hidden
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.y, logits=self.out)
        self.loss = tf.reduce_mean(losses)
        self.names = list(self.variables)
        variables = [self.variables[name] for name in self.names]
        self.grads = tf.gradients(self.loss, variables)
        stepper = tf1_ops.optimiser(optimiser, {"rate": rate})
        self.train = stepper.apply_gradients(zip(self.grads, variables))
        self.setters = {name: tf.placeholder(tf.float32, shape) for name, shape in model.shapes().items()}
        self.set = [self.variables[name].assign(self.setters[name]) for name in self.names]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} as the framework counts them."""
        return {name: tuple(variable.shape.as_list()) for name, variable in self.variables.items()}

    def weights(self) -> dict[str, numpy.ndarray]:
        """{name: array}."""
        return self.session.run(self.variables)

    def assign(self, weights: dict[str, numpy.ndarray]) -> None:
        """Set every weight."""
        self.session.run(self.set, {self.setters[name]: weights[name] for name in self.names})

    def step(self, x: numpy.ndarray, y: numpy.ndarray) -> float:
        """One training step; the loss before it."""
        return float(self.session.run([self.loss, self.train], {self.x: x, self.y: y})[0])

    def gradients(self, x: numpy.ndarray, y: numpy.ndarray) -> tuple[float, dict[str, numpy.ndarray]]:
        """The loss and its gradients."""
        loss, grads = self.session.run([self.loss, self.grads], {self.x: x, self.y: y})
        return float(loss), dict(zip(self.names, grads))

    def logits(self, x: numpy.ndarray) -> numpy.ndarray:
        """The network's output."""
        return self.session.run(self.out, {self.x: x})

    def save(self, folder: str) -> None:
        """Write a checkpoint."""
        with self.graph.as_default():
            self.saver.save(self.session, os.path.join(folder, "digits.ckpt"), write_meta_graph=False)

    def restore(self, folder: str) -> None:
        """Read it back."""
        with self.graph.as_default():
            self.saver.restore(self.session, os.path.join(folder, "digits.ckpt"))

    def close(self) -> None:
        """Let go of the Session."""
        self.session.close()
