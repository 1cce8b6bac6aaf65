"""What a course uses beside the layers, from tf.keras."""

from __future__ import annotations

from typing import Any, Iterable

import numpy
import tensorflow as tf


def constant(array: Any, dtype: str) -> Any:
    """A tensor; floats in ``dtype``."""
    array = numpy.asarray(array)
    return tf.constant(array.astype(dtype) if array.dtype.kind == "f" else array)


def seed(number: int) -> None:
    """Seed everything; Keras 3 draws its initialisers' seeds from Python's generator, not from tf.random."""
    getattr(tf.keras.utils, "set_random_seed", tf.random.set_seed)(number)


def optimiser(rule: str, s: dict[str, Any]) -> Any:
    """The framework's optimiser for a rule and its settings."""
    optimizers = tf.keras.optimizers
    if rule == "sgd":
        return optimizers.SGD(s["rate"])
    if rule == "momentum":
        return optimizers.SGD(s["rate"], momentum=s["momentum"])
    if rule == "rmsprop":
        return optimizers.RMSprop(s["rate"], rho=s["rho"], epsilon=s["epsilon"])
    if rule == "adam":
        return optimizers.Adam(
            s["rate"], beta_1=s.get("beta1", 0.9), beta_2=s.get("beta2", 0.999), epsilon=s.get("epsilon", 1e-7)
        )
    raise KeyError(rule)


def optimise(
    rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
) -> list[numpy.ndarray]:
    """The weight after each step."""
    variable = tf.Variable(weight)
    stepper = optimiser(rule, settings)
    found = []
    for gradient in gradients:
        stepper.apply_gradients([(tf.constant(gradient), variable)])
        found.append(variable.numpy().copy())
    return found


def decay(schedule: str, s: dict[str, Any], steps: int) -> list[float]:
    """The learning rate at each step."""
    staircase = {"step": True, "exponential": False}[schedule]
    rate = tf.keras.optimizers.schedules.ExponentialDecay(s["rate"], s["every"], s["factor"], staircase)
    return [float(rate(tf.constant(number))) for number in range(steps)]


def initial(scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
    """A kernel filled by the framework's initialiser."""
    make = {
        "glorot_uniform": tf.keras.initializers.GlorotUniform,
        "glorot_normal": tf.keras.initializers.GlorotNormal,
        "he_uniform": getattr(tf.keras.initializers, "HeUniform", None) or tf.keras.initializers.he_uniform,
        "he_normal": getattr(tf.keras.initializers, "HeNormal", None) or tf.keras.initializers.he_normal,
    }[scheme]
    return make(seed=seed)(shape).numpy()


def batch_norm(x: numpy.ndarray, s: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
    """Training outputs and gradients, running statistics and the output at inference, of tf.keras.layers."""
    layer = tf.keras.layers.BatchNormalization(momentum=s["keep"], epsilon=s["epsilon"])
    layer.build(x.shape)
    layer.gamma.assign(s["gamma"])
    layer.beta.assign(s["beta"])
    images = tf.constant(x)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(images)
            trained = layer(images, training=True)
    upstream = constant(s["upstream"], "float32")
    grads = tape.gradient(trained, [images, layer.gamma, layer.beta], output_gradients=upstream)
    arrays = dict(zip(("dx", "dgamma", "dbeta"), grads))
    arrays.update(train=trained, infer=layer(images, training=False))
    arrays.update(mean=layer.moving_mean, variance=layer.moving_variance)
    return {name: tensor.numpy() for name, tensor in arrays.items()}
