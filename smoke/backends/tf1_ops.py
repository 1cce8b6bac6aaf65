"""What a course uses beside the layers, as TensorFlow 1 graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

import numpy
import tensorflow.compat.v1 as tf

if TYPE_CHECKING:
    from smoke.backends.tf1_backend import Backend


class AbsentError(Exception):
    """This TensorFlow no longer has the component; the text says since when."""


def placeholder(array: Any, dtype: str) -> Any:
    """A placeholder for the array; floats in ``dtype``."""
    array = numpy.asarray(array)
    return tf.placeholder(dtype if array.dtype.kind == "f" else array.dtype, array.shape)


def optimiser(rule: str, s: dict[str, Any]) -> Any:
    """The framework's optimiser for a rule and its settings."""
    if rule == "sgd":
        return tf.train.GradientDescentOptimizer(s["rate"])
    if rule == "momentum":
        return tf.train.MomentumOptimizer(s["rate"], s["momentum"])
    if rule == "rmsprop":
        return tf.train.RMSPropOptimizer(s["rate"], s["rho"], epsilon=s["epsilon"])
    if rule == "adam":
        return tf.train.AdamOptimizer(s["rate"], s.get("beta1", 0.9), s.get("beta2", 0.999), s.get("epsilon", 1e-8))
    raise KeyError(rule)


def optimise(
    backend: Backend, rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
) -> list[numpy.ndarray]:
    """The weight after each step."""
    with tf.Graph().as_default() as graph:
        variable = tf.get_variable("weight", initializer=tf.constant(weight), use_resource=True)
        gradient = tf.placeholder(tf.float32, weight.shape)
        apply = optimiser(rule, settings).apply_gradients([(gradient, variable)])
        start = tf.global_variables_initializer()
        found = []
        with backend.session(graph) as session:
            session.run(start)
            for value in gradients:
                session.run(apply, {gradient: value})
                found.append(session.run(variable))
    return found


def decay(backend: Backend, schedule: str, s: dict[str, Any], steps: int) -> list[float]:
    """The learning rate at each step."""
    with tf.Graph().as_default() as graph:
        step = tf.placeholder(tf.int64, ())
        staircase = {"step": True, "exponential": False}[schedule]
        rate = tf.train.exponential_decay(s["rate"], step, s["every"], s["factor"], staircase)
        with backend.session(graph) as session:
            return [float(session.run(rate, {step: number})) for number in range(steps)]


def initial(backend: Backend, scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
    """tf.initializers' Glorot, and variance scaling by fan-in for He."""
    make: dict[str, Callable[[], Any]] = {
        "glorot_uniform": lambda: tf.glorot_uniform_initializer(seed),
        "glorot_normal": lambda: tf.glorot_normal_initializer(seed),
        "he_uniform": lambda: tf.initializers.he_uniform(seed),
        "he_normal": lambda: tf.initializers.he_normal(seed),
    }
    with tf.Graph().as_default() as graph, backend.session(graph) as session:
        return session.run(make[scheme]()(shape))


def batch_norm(backend: Backend, x: numpy.ndarray, s: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
    """Training outputs and gradients, running statistics and the output at inference, of tf.layers."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, x.shape)
        training = tf.placeholder(tf.bool, ())
        try:
            output = tf.layers.batch_normalization(
                images,
                momentum=s["keep"],
                epsilon=s["epsilon"],
                gamma_initializer=tf.constant_initializer(s["gamma"]),
                beta_initializer=tf.constant_initializer(s["beta"]),
                training=training,
                name="norm",
            )
        except (AttributeError, NotImplementedError, ImportError) as problem:
            raise AbsentError(f"tf.compat.v1.layers went with Keras 2 in 2.16: {problem}") from problem
        variables = {v.name.split("/")[-1].split(":")[0]: v for v in tf.global_variables()}
        update = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        targets = [images, variables["gamma"], variables["beta"]]
        grads = tf.gradients(output, targets, tf.constant(s["upstream"].astype("float32")))
        start = tf.global_variables_initializer()
        with backend.session(graph) as session:
            session.run(start)
            found = {}
            for _ in range(steps):
                fetched = session.run([output, grads, update], {images: x, training: True})
            found["train"], (found["dx"], found["dgamma"], found["dbeta"]) = fetched[:2]
            found["infer"] = session.run(output, {images: x, training: False})
            found["mean"] = session.run(variables["moving_mean"])
            found["variance"] = session.run(variables["moving_variance"])
    return found


def dropout(backend: Backend, x: numpy.ndarray, rate: float, training: bool, seed: int) -> numpy.ndarray:
    """tf.nn.dropout, which a program of 1.x leaves out at inference by a condition."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(seed)
        images = tf.placeholder(tf.float32, x.shape)
        output = tf.cond(tf.constant(training), lambda: tf.nn.dropout(images, rate=rate), lambda: images)
        with backend.session(graph) as session:
            return session.run(output, {images: x})


def load_all(backend: Backend, samples: Any, batch: int) -> list[numpy.ndarray]:
    """Batches from tf.data, shuffled and prefetched, through a one-shot iterator."""
    with tf.Graph().as_default() as graph:
        data = tf.data.Dataset.from_tensor_slices(numpy.asarray(samples))
        data = data.shuffle(len(samples), seed=0).batch(batch).prefetch(2)
        following = tf.data.make_one_shot_iterator(data).get_next()
        found = []
        with backend.session(graph) as session:
            while True:
                try:
                    found.append(session.run(following))
                except tf.errors.OutOfRangeError:
                    return found
