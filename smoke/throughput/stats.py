"""Median, spread and the bootstrap interval; the same numbers on every machine for the same samples."""

from __future__ import annotations

import random
from typing import Iterable, Sequence

RESAMPLES = 2000


def quantile(values: Iterable[float], share: float) -> float:
    """By linear interpolation between the two nearest."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (position - low) * (ordered[high] - ordered[low])


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    return quantile(values, 0.5)


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The bootstrap 95 % interval of the median (percentile method)."""
    draw, size = random.Random(seed).random, len(values)  # noqa: S311 - nothing is secret here
    medians = [median([values[int(draw() * size)] for _ in range(size)]) for _ in range(RESAMPLES)]
    return quantile(medians, 0.025), quantile(medians, 0.975)


def stat(samples: Sequence[Sequence[float]]) -> dict[str, float]:
    """The figures of ``samples``, a list of windows for each process.

    Windows of one process share its memory layout and its luck: the processes are what is resampled,
    by their medians. Where only one measured there is no interval: low and high are the median.
    """
    windows = [value for process in samples for value in process]
    units = [median(process) for process in samples]
    low, high = interval(units)
    spread = quantile(windows, 0.75) - quantile(windows, 0.25)
    return {name: _short(v) for name, v in (("median", median(units)), ("iqr", spread), ("low", low), ("high", high))}


def narrow(found: dict[str, float], width: float) -> bool:
    """Whether the interval is at most ``width`` of the median wide."""
    return found["high"] - found["low"] <= width * found["median"]


def _short(value: float) -> float:
    return float(f"{value:.6g}")
