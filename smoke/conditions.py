"""How much larger than its result the numbers are that an operation rounds on its way there.

Sums of products are no such numbers: libraries add them up in float32 or wider whatever the factors are. What is
rounded to the factors' format is what one kernel hands to the next: a product before the bias, a share before its
gradient, a partial sum. Where such numbers cancel, the result has less digits than the format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from smoke.reference import Arrays, Backward


def of(name: str, arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> dict[str, float]:
    """{"output" or array's name: largest rounded number / largest of the result, at least 1} of one operation.

    ``results`` are the reference's output and gradients, ``backward`` what gives it another upstream gradient's.
    """
    rounded = _ROUNDED[name](arrays, results, upstream, backward)
    return {
        key: max(1.0, float(numpy.abs(rounded.get(key, 0.0)).max() / max(numpy.abs(result).max(), 1e-30)))
        for key, result in results.items()
    }


def _biased(arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> Arrays:
    """The product, then the bias on top."""
    return {"output": numpy.abs(results["output"] - arrays["bias"]) + numpy.abs(arrays["bias"])}


def _windows(arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> Arrays:
    """Each pixel's gradient adds up what the windows over it got."""
    return backward(numpy.abs(upstream))


def _exact(arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> Arrays:
    return {}


def _powers(x: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """How far each number is below the largest, and softmax's shares, as often as that rounds them."""
    below = x.max(-1, keepdims=True) - x
    powers = numpy.exp(-below)
    # The error of a power is that of its exponent.
    return below, powers / powers.sum(-1, keepdims=True) * (1 + below)


def _softmax(arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> Arrays:
    """Gradients are differences of a gradient and the mean of all."""
    _, share = _powers(arrays["x"])
    size = numpy.abs(upstream)
    return {"output": share, "x": share * (size + (share * size).sum(-1, keepdims=True))}


def _cross_entropy(arrays: Arrays, results: Arrays, upstream: numpy.ndarray, backward: Backward) -> Arrays:
    """The loss is a logarithm and a logit; the gradient a share less one for the label."""
    below, share = _powers(arrays["logits"])
    rows = numpy.arange(len(below))
    logarithm = numpy.log(numpy.exp(-below).sum(-1))
    gradient = share.copy()
    gradient[rows, arrays["labels"]] += 1
    return {
        "output": below[rows, arrays["labels"]] + logarithm + share.sum(-1),
        "logits": gradient * numpy.abs(upstream)[:, None],
    }


_ROUNDED = {
    "conv2d": _biased,
    "dense": _biased,
    "max_pool": _windows,
    "avg_pool": _windows,
    "global_avg_pool": _exact,
    "relu": _exact,
    "softmax": _softmax,
    "cross_entropy": _cross_entropy,
}
