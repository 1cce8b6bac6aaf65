"""TensorFlow 2: tf.keras and tf.function, eager where a check asks for it."""

from __future__ import annotations

import os
from typing import Any, Iterable

import numpy
import tensorflow as tf

from smoke import model
from smoke.backends import tf2_ops, tf_ops


class Backend:
    """tensorflow 2.x."""

    DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")
    MODES = ("graph", "eager")
    NO_GRADIENT = tf_ops.NO_GRADIENT

    def __init__(self, threads: int, at_once: int = 1) -> None:
        self.module = tf
        self.threads = threads
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(at_once)
        # From Ampere on TensorFlow's float32 is TF32 unless it is told otherwise.
        self.precision(False)

    def versions(self) -> dict[str, str]:
        """The framework's own word for its version."""
        return {"tensorflow": tf.__version__}

    def build(self) -> dict[str, Any]:
        """What the build says of itself."""
        return tf_ops.build_info(tf)

    def gpus(self) -> int:
        """How many GPUs the framework sees."""
        return len(tf.config.list_physical_devices("GPU"))

    def architectures(self) -> list[str]:
        """What the build holds kernels for (2.4 and later say so)."""
        return tf_ops.architectures(tf)

    def cudnn_compiled(self) -> tuple[int, ...] | None:
        """The numbers of the cuDNN version that the build was compiled for."""
        return tf_ops.cudnn_compiled(tf)

    def nccl(self) -> tuple[int, ...] | None:
        """NCCL is linked into TensorFlow's own library."""

    def allocate(self, index: int) -> float:
        """Put one number on a GPU and read it back."""
        before = tf.config.get_soft_device_placement()
        tf.config.set_soft_device_placement(False)
        try:
            with tf.device(f"/GPU:{index}"):
                return float(tf.ones(1).numpy()[0])
        finally:
            tf.config.set_soft_device_placement(before)

    def precision(self, tf32: bool) -> None:
        """Allow TF32, or not (the switch came with 2.4)."""
        switch = getattr(tf.config.experimental, "enable_tensor_float_32_execution", None)
        if switch is not None:
            switch(tf32)

    def deterministic(self) -> tuple[str, bool]:
        """TensorFlow 2's switch."""
        return tf_ops.deterministic(tf), True

    def precisions(self) -> tuple[str, ...]:
        """The formats that the device multiplies in."""
        return tf_ops.precisions(tf, self.gpus())

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
        """One operation and its gradients by a GradientTape, eagerly or in a tf.function."""

        def compute(tensors: dict[str, Any], upstream: Any) -> tuple[Any, dict[str, Any]]:
            if upstream is None:
                return tf_ops.OPS[name](tf, tensors, attributes), {}
            with tf.GradientTape() as tape:
                floats = {key: tensor for key, tensor in tensors.items() if tensor.dtype.is_floating}
                tape.watch(floats)
                output = tf_ops.OPS[name](tf, tensors, attributes)
            return output, tape.gradient(output, floats, output_gradients=upstream)

        tensors = {key: tf2_ops.constant(array, dtype) for key, array in arrays.items()}
        compute = tf.function(compute) if mode == "graph" else compute
        output, grads = compute(tensors, None if upstream is None else tf2_ops.constant(upstream, dtype))
        return output.numpy(), {key: grad.numpy() for key, grad in grads.items()}

    def optimise(
        self, rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
    ) -> list[numpy.ndarray]:
        """The weight after each step of the framework's own optimiser."""
        return tf2_ops.optimise(rule, settings, weight, gradients)

    def decay(self, schedule: str, settings: dict[str, Any], steps: int) -> list[float]:
        """The learning rate the framework's schedule gives at each step."""
        return tf2_ops.decay(schedule, settings, steps)

    def initial(self, scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
        """A kernel filled by the framework's initialiser."""
        return tf2_ops.initial(scheme, shape, seed)

    def batch_norm(self, x: numpy.ndarray, settings: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
        """``steps`` training passes, then one at inference."""
        return tf2_ops.batch_norm(x, settings, steps)

    def dropout(self, x: numpy.ndarray, rate: float, training: bool, seed: int) -> numpy.ndarray:
        """The framework's dropout of ``x``."""
        tf.random.set_seed(seed)
        return tf.keras.layers.Dropout(rate, seed=seed)(tf2_ops.constant(x, "float32"), training=training).numpy()

    def load_all(self, samples: Any, batch: int) -> list[numpy.ndarray]:
        """What a shuffling tf.data pipeline with prefetch delivers."""
        data = tf.data.Dataset.from_tensor_slices(numpy.asarray(samples))
        return [found.numpy() for found in data.shuffle(len(samples), seed=0).batch(batch).prefetch(2)]

    def classifier(self, seed: int = 0, optimiser: str = "adam", rate: float = 1e-3, mode: str = "graph") -> Classifier:
        """The CNN."""
        return Classifier(seed, optimiser, rate, mode)


class Classifier:
    """The CNN of smoke/model.py as a tf.keras Sequential with a training step of its own."""

    def __init__(self, seed: int, optimiser: str, rate: float, mode: str) -> None:
        tf2_ops.seed(seed)
        layers = tf.keras.layers
        stack, named = [], {}
        for name, filters in model.CONVOLUTIONS:
            named[name] = layers.Conv2D(filters, model.KERNEL, activation="relu")
            stack += [named[name], layers.MaxPooling2D(model.POOL)]
        stack.append(layers.Flatten())
        for name, units in model.DENSE:
            last = name == model.DENSE[-1][0]
            named[name] = layers.Dense(units, activation=None if last else "relu")
            stack.append(named[name])
        self.net = tf.keras.Sequential(stack)
        self.net.build((None, *model.INPUT))
        self.variables = {}
        for name, layer in named.items():
            self.variables[name + "/kernel"] = layer.kernel
            self.variables[name + "/bias"] = layer.bias
        self.names = list(self.variables)
        self.optimiser = tf2_ops.optimiser(optimiser, {"rate": rate})
        if hasattr(self.optimiser, "build"):
            self.optimiser.build(list(self.variables.values()))
        self.loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        wrap = tf.function if mode == "graph" else lambda function: function
        self._forward, self._backward, self._update = wrap(self._forward), wrap(self._backward), wrap(self._update)  # type: ignore[method-assign]

    def _forward(self, x: Any) -> Any:
        return self.net(x, training=False)

    def _backward(self, x: Any, y: Any) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            loss = self.loss(y, self.net(x, training=True))
        return loss, tape.gradient(loss, [self.variables[name] for name in self.names])

    def _update(self, x: Any, y: Any) -> Any:
        loss, grads = self._backward(x, y)
        self.optimiser.apply_gradients(zip(grads, [self.variables[name] for name in self.names]))
        return loss

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} as the framework counts them."""
        return {name: tuple(variable.shape) for name, variable in self.variables.items()}

    def weights(self) -> dict[str, numpy.ndarray]:
        """{name: array}."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def assign(self, weights: dict[str, numpy.ndarray]) -> None:
        """Set every weight."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def step(self, x: numpy.ndarray, y: numpy.ndarray) -> float:
        """One training step; the loss before it."""
        return float(self._update(tf2_ops.constant(x, "float32"), tf.constant(y)))

    def gradients(self, x: numpy.ndarray, y: numpy.ndarray) -> tuple[float, dict[str, numpy.ndarray]]:
        """The loss and its gradients."""
        loss, grads = self._backward(tf2_ops.constant(x, "float32"), tf.constant(y))
        return float(loss), {name: grad.numpy() for name, grad in zip(self.names, grads)}

    def logits(self, x: numpy.ndarray) -> numpy.ndarray:
        """The network's output."""
        return self._forward(tf2_ops.constant(x, "float32")).numpy()

    def save(self, folder: str) -> None:
        """Write the weights as HDF5, the one format that every 2.x reads and writes."""
        self.net.save_weights(os.path.join(folder, "digits.weights.h5"))

    def restore(self, folder: str) -> None:
        """Read them back."""
        self.net.load_weights(os.path.join(folder, "digits.weights.h5"))

    def close(self) -> None:
        """Nothing is held open."""
