"""Optimisers, batch normalisation and learning-rate decay in float64, with what frameworks define differently."""

from __future__ import annotations

from typing import Any

import numpy


def optimise(
    rule: str, s: dict[str, float], weight: numpy.ndarray, gradients: list[numpy.ndarray], definition: Any = None
) -> list[numpy.ndarray]:
    """The weight after each step; ``definition`` names a framework's variant of the rule.

    adam: "epsilon after" adds epsilon to the root of the corrected second moment (the paper's
    algorithm 1, PyTorch); "epsilon before" folds the correction into the rate (TensorFlow, Keras).
    rmsprop: (where epsilon stands, what the mean square starts from).
    """
    w, found = numpy.asarray(weight, float), []
    first: Any = 0.0
    second: Any = 0.0
    if rule == "rmsprop":
        second = definition[1]
    for step, gradient in enumerate(gradients, 1):
        g = numpy.asarray(gradient, float)
        if rule == "sgd":
            w = w - s["rate"] * g
        elif rule == "momentum":
            first = s["momentum"] * first + g
            w = w - s["rate"] * first
        elif rule == "rmsprop":
            second = s["rho"] * second + (1 - s["rho"]) * g**2
            inside = definition[0] == "epsilon inside"
            root = numpy.sqrt(second + s["epsilon"]) if inside else numpy.sqrt(second) + s["epsilon"]
            w = w - s["rate"] * g / root
        elif rule == "adam":
            first = s["beta1"] * first + (1 - s["beta1"]) * g
            second = s["beta2"] * second + (1 - s["beta2"]) * g**2
            one, two = 1 - s["beta1"] ** step, 1 - s["beta2"] ** step
            if definition == "epsilon after":
                w = w - s["rate"] * (first / one) / (numpy.sqrt(second / two) + s["epsilon"])
            else:
                w = w - s["rate"] * numpy.sqrt(two) / one * first / (numpy.sqrt(second) + s["epsilon"])
        found.append(w)
    return found


def batch_norm(x: numpy.ndarray, s: dict[str, Any], steps: int, unbiased: bool) -> dict[str, numpy.ndarray]:
    """What smoke/backends' batch_norm returns; ``unbiased`` is the running variance's definition."""
    x = numpy.asarray(x, float)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    count = x.size // x.shape[-1]
    root = numpy.sqrt(variance + s["epsilon"])
    normal = (x - mean) / root
    up = s["upstream"] * s["gamma"]
    kept = s["keep"] ** steps
    running_mean = (1 - kept) * mean
    running = kept + (1 - kept) * variance * (count / (count - 1.0) if unbiased else 1.0)
    return {
        "train": normal * s["gamma"] + s["beta"],
        "mean": running_mean,
        "variance": running,
        "infer": (x - running_mean) / numpy.sqrt(running + s["epsilon"]) * s["gamma"] + s["beta"],
        "dx": (up - up.mean((0, 1, 2)) - normal * (up * normal).mean((0, 1, 2))) / root,
        "dgamma": (s["upstream"] * normal).sum((0, 1, 2)),
        "dbeta": s["upstream"].sum((0, 1, 2)),
    }


def decay(schedule: str, s: dict[str, Any], steps: int) -> list[float]:
    """The learning rate at each step: in stairs, or smoothly."""
    exponents = [step // s["every"] if schedule == "step" else step / float(s["every"]) for step in range(steps)]
    return [s["rate"] * s["factor"] ** exponent for exponent in exponents]
