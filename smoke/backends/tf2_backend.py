"""TensorFlow 2: tf.keras and tf.function, eager where a check asks for it."""

import os

import numpy
import tensorflow as tf

from smoke import model
from smoke.backends import tf2_ops, tf_ops


class Backend:
    """tensorflow 2.x."""

    DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu")
    MODES = ("graph", "eager")
    NO_GRADIENT = tf_ops.NO_GRADIENT

    def __init__(self, threads, at_once=1):
        self.module = tf
        self.threads = threads
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(at_once)
        # From Ampere on TensorFlow's float32 is TF32 unless it is told otherwise.
        self.precision(False)

    def versions(self):
        """The framework's own word for its version."""
        return {"tensorflow": tf.__version__}

    def build(self):
        """What the build says of itself."""
        return tf_ops.build_info(tf)

    def gpus(self):
        """How many GPUs the framework sees."""
        return len(tf.config.list_physical_devices("GPU"))

    def architectures(self):
        """What the build holds kernels for (2.4 and later say so)."""
        return tf_ops.architectures(tf)

    def cudnn_compiled(self):
        """The numbers of the cuDNN version that the build was compiled for."""
        return tf_ops.cudnn_compiled(tf)

    def nccl(self):
        """NCCL is linked into TensorFlow's own library."""

    def allocate(self, index):
        """Put one number on a GPU and read it back."""
        before = tf.config.get_soft_device_placement()
        tf.config.set_soft_device_placement(False)
        try:
            with tf.device(f"/GPU:{index}"):
                return float(tf.ones(1).numpy()[0])
        finally:
            tf.config.set_soft_device_placement(before)

    def precision(self, tf32):
        """Allow TF32, or not (the switch came with 2.4)."""
        switch = getattr(tf.config.experimental, "enable_tensor_float_32_execution", None)
        if switch is not None:
            switch(tf32)

    def deterministic(self):
        """TensorFlow 2's switch."""
        return tf_ops.deterministic(tf), True

    def precisions(self):
        """The formats that the device multiplies in."""
        return tf_ops.precisions(tf, self.gpus())

    def op(self, name, arrays, attributes, upstream, *, dtype="float32", mode="graph"):
        """One operation and its gradients by a GradientTape, eagerly or in a tf.function."""

        def compute(tensors, upstream):
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

    def optimise(self, rule, settings, weight, gradients):
        """The weight after each step of the framework's own optimiser."""
        return tf2_ops.optimise(rule, settings, weight, gradients)

    def decay(self, schedule, settings, steps):
        """The learning rate the framework's schedule gives at each step."""
        return tf2_ops.decay(schedule, settings, steps)

    def initial(self, scheme, shape, seed):
        """A kernel filled by the framework's initialiser."""
        return tf2_ops.initial(scheme, shape, seed)

    def batch_norm(self, x, settings, steps):
        """``steps`` training passes, then one at inference."""
        return tf2_ops.batch_norm(x, settings, steps)

    def dropout(self, x, rate, training, seed):
        """The framework's dropout of ``x``."""
        tf.random.set_seed(seed)
        return tf.keras.layers.Dropout(rate, seed=seed)(tf2_ops.constant(x, "float32"), training=training).numpy()

    def load_all(self, samples, batch):
        """What a shuffling tf.data pipeline with prefetch delivers."""
        data = tf.data.Dataset.from_tensor_slices(numpy.asarray(samples))
        return [found.numpy() for found in data.shuffle(len(samples), seed=0).batch(batch).prefetch(2)]

    def classifier(self, seed=0, optimiser="adam", rate=1e-3, mode="graph"):
        """The CNN."""
        return Classifier(seed, optimiser, rate, mode)


class Classifier:
    """The CNN of smoke/model.py as a tf.keras Sequential with a training step of its own."""

    def __init__(self, seed, optimiser, rate, mode):
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
        self._forward, self._backward, self._update = wrap(self._forward), wrap(self._backward), wrap(self._update)

    def _forward(self, x):
        return self.net(x, training=False)

    def _backward(self, x, y):
        with tf.GradientTape() as tape:
            loss = self.loss(y, self.net(x, training=True))
        return loss, tape.gradient(loss, [self.variables[name] for name in self.names])

    def _update(self, x, y):
        loss, grads = self._backward(x, y)
        self.optimiser.apply_gradients(zip(grads, [self.variables[name] for name in self.names]))
        return loss

    def shapes(self):
        """{name: shape} as the framework counts them."""
        return {name: tuple(variable.shape) for name, variable in self.variables.items()}

    def weights(self):
        """{name: array}."""
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def assign(self, weights):
        """Set every weight."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def step(self, x, y):
        """One training step; the loss before it."""
        return float(self._update(tf2_ops.constant(x, "float32"), tf.constant(y)))

    def gradients(self, x, y):
        """The loss and its gradients."""
        loss, grads = self._backward(tf2_ops.constant(x, "float32"), tf.constant(y))
        return float(loss), {name: grad.numpy() for name, grad in zip(self.names, grads)}

    def logits(self, x):
        """The network's output."""
        return self._forward(tf2_ops.constant(x, "float32")).numpy()

    def save(self, folder):
        """Write the weights as HDF5, the one format that every 2.x reads and writes."""
        self.net.save_weights(os.path.join(folder, "digits.weights.h5"))

    def restore(self, folder):
        """Read them back."""
        self.net.load_weights(os.path.join(folder, "digits.weights.h5"))

    def close(self):
        """Nothing is held open."""
