"""The CNN and everything in it in float64 NumPy: what every framework is compared with.

Images are NHWC, kernels HWIO, dense kernels (in, out).  An operation is a function of its
arrays and attributes that returns its output and a function from the upstream gradient to
the gradients of its arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

import numpy

from smoke import model

if TYPE_CHECKING:
    Arrays = dict[str, numpy.ndarray]
    Attributes = dict[str, Any]
    Backward = Callable[[numpy.ndarray], Arrays]
    Operation = Callable[[Arrays, Attributes], tuple[numpy.ndarray, Backward]]


def _patches(
    x: numpy.ndarray, window: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> numpy.ndarray:
    """A view of shape (n, rows, columns, window rows, window columns, channels)."""
    count, height, width, channels = x.shape
    rows = (height - dilation[0] * (window[0] - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (window[1] - 1) - 1) // stride[1] + 1
    n, h, w, c = x.strides
    return numpy.lib.stride_tricks.as_strided(
        x,
        (count, rows, columns, window[0], window[1], channels),
        (n, h * stride[0], w * stride[1], h * dilation[0], w * dilation[1], c),
        writeable=False,
    )


def _spread(
    parts: Iterable[tuple[int, int, numpy.ndarray]],
    shape: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> numpy.ndarray:
    """The transpose of _patches: add (row, column, part) of each window position to where it came from."""
    found = numpy.zeros(shape)
    for row, column, part in parts:
        rows = slice(row * dilation[0], row * dilation[0] + (part.shape[1] - 1) * stride[0] + 1, stride[0])
        columns = slice(column * dilation[1], column * dilation[1] + (part.shape[2] - 1) * stride[1] + 1, stride[1])
        found[:, rows, columns] += part
    return found


def conv2d(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """Cross-correlation with zero padding, stride and dilation, and a bias."""
    x, kernel = arrays["x"], arrays["kernel"]
    (top, left), stride, dilation = attributes["pad"], attributes["stride"], attributes["dilation"]
    padded = numpy.pad(x, ((0, 0), (top, top), (left, left), (0, 0)), "constant")
    patches = _patches(padded, kernel.shape[:2], stride, dilation)
    output = numpy.tensordot(patches, kernel, 3) + arrays["bias"]

    def backward(upstream: numpy.ndarray) -> Arrays:
        parts = (
            (row, column, upstream.dot(kernel[row, column].T))
            for row in range(kernel.shape[0])
            for column in range(kernel.shape[1])
        )
        spread = _spread(parts, padded.shape, stride, dilation)
        return {
            "x": spread[:, top : top + x.shape[1], left : left + x.shape[2]],
            "kernel": numpy.tensordot(patches, upstream, ([0, 1, 2], [0, 1, 2])),
            "bias": upstream.sum((0, 1, 2)),
        }

    return output, backward


def max_pool(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """The largest of each window; its gradient goes to the first that is as large."""
    return _pool(arrays["x"], attributes, largest=True)


def avg_pool(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """The mean of each window."""
    return _pool(arrays["x"], attributes, largest=False)


def _pool(x: numpy.ndarray, attributes: Attributes, largest: bool) -> tuple[numpy.ndarray, Backward]:
    size, stride = attributes["size"], (attributes["stride"],) * 2
    patches = _patches(x, (size, size), stride, (1, 1))
    flat = patches.reshape((*patches.shape[:3], size * size, x.shape[-1]))
    if largest:
        chosen = numpy.arange(size * size)[:, None] == flat.argmax(3)[..., None, :]
        output, share = flat.max(3), chosen.astype(float)
    else:
        output, share = flat.mean(3), numpy.full(flat.shape, 1.0 / size**2)

    def backward(upstream: numpy.ndarray) -> Arrays:
        parts = (
            (row, column, share[..., row * size + column, :] * upstream)
            for row in range(size)
            for column in range(size)
        )
        return {"x": _spread(parts, x.shape, stride, (1, 1))}

    return output, backward


def global_avg_pool(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """The mean over rows and columns."""
    x = arrays["x"]
    area = x.shape[1] * x.shape[2]
    return x.mean((1, 2)), lambda upstream: {"x": numpy.broadcast_to(upstream[:, None, None] / area, x.shape)}


def dense(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """x kernel + bias."""
    x, kernel = arrays["x"], arrays["kernel"]
    return x.dot(kernel) + arrays["bias"], lambda upstream: {
        "x": upstream.dot(kernel.T),
        "kernel": x.T.dot(upstream),
        "bias": upstream.sum(0),
    }


def relu(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """The positive part."""
    x = arrays["x"]
    return numpy.maximum(x, 0), lambda upstream: {"x": upstream * (x > 0)}


def _softmax(x: numpy.ndarray) -> numpy.ndarray:
    powers = numpy.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """Exponentials that add up to one along the last axis."""
    share = _softmax(arrays["x"])
    return share, lambda upstream: {"x": share * (upstream - (share * upstream).sum(-1, keepdims=True))}


def cross_entropy(arrays: Arrays, attributes: Attributes) -> tuple[numpy.ndarray, Backward]:
    """Minus the logarithm of the label's softmax, one loss per row."""
    logits, labels = arrays["logits"], arrays["labels"]
    rows = numpy.arange(len(labels))
    shifted = logits - logits.max(-1, keepdims=True)
    losses = numpy.log(numpy.exp(shifted).sum(-1)) - shifted[rows, labels]

    def backward(upstream: numpy.ndarray) -> Arrays:
        found = _softmax(logits)
        found[rows, labels] -= 1
        return {"logits": found * upstream[:, None]}

    return losses, backward


OPS = {
    "conv2d": conv2d,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "global_avg_pool": global_avg_pool,
    "dense": dense,
    "relu": relu,
    "softmax": softmax,
    "cross_entropy": cross_entropy,
}


def _layers(weights: Arrays, x: numpy.ndarray) -> tuple[numpy.ndarray, list[tuple[str | None, Backward]]]:
    """The network's output, and its operations' backward functions with the weights' prefix of each."""
    steps: list[tuple[str | None, Backward]] = []
    hidden = numpy.asarray(x, float)
    same = {"pad": (0, 0), "stride": (1, 1), "dilation": (1, 1)}

    def apply(operation: Operation, arrays: Arrays, attributes: Attributes, name: str | None = None) -> numpy.ndarray:
        output, backward = operation(arrays, attributes)
        steps.append((name, backward))
        return output

    def with_weights(name: str) -> Arrays:
        return {"x": hidden, "kernel": weights[name + "/kernel"], "bias": weights[name + "/bias"]}

    for name, _ in model.CONVOLUTIONS:
        hidden = apply(conv2d, with_weights(name), same, name)
        hidden = apply(relu, {"x": hidden}, {})
        hidden = apply(max_pool, {"x": hidden}, {"size": model.POOL, "stride": model.POOL})
    shape = hidden.shape
    hidden = hidden.reshape(len(x), -1)
    steps.append((None, lambda upstream: {"x": upstream.reshape(shape)}))
    for name, _ in model.DENSE:
        hidden = apply(dense, with_weights(name), {}, name)
        if name != model.DENSE[-1][0]:
            hidden = apply(relu, {"x": hidden}, {})
    return hidden, steps


def logits(weights: Arrays, x: numpy.ndarray) -> numpy.ndarray:
    """The CNN's output."""
    return _layers(weights, x)[0]


def loss_and_gradients(weights: Arrays, x: numpy.ndarray, y: numpy.ndarray) -> tuple[float, Arrays]:
    """The mean cross-entropy, and its gradient for every weight."""
    output, steps = _layers(weights, x)
    losses, backward = cross_entropy({"logits": output, "labels": y}, {})
    upstream = backward(numpy.full(len(y), 1.0 / len(y)))["logits"]
    found = {}
    for name, step in reversed(steps):
        grads = step(upstream)
        upstream = grads["x"]
        if name:
            found[name + "/kernel"], found[name + "/bias"] = grads["kernel"], grads["bias"]
    return losses.mean(), found


def train(
    weights: Arrays, batches: Iterable[tuple[numpy.ndarray, numpy.ndarray]], rate: float
) -> tuple[list[float], Arrays]:
    """Plain SGD: each batch's loss before its step, and the weights after the last."""
    weights = {name: numpy.asarray(weight, float) for name, weight in weights.items()}
    losses = []
    for x, y in batches:
        loss, grads = loss_and_gradients(weights, x, y)
        losses.append(loss)
        weights = {name: weight - rate * grads[name] for name, weight in weights.items()}
    return losses, weights
