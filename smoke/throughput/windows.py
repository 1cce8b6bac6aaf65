"""One row in one process: the first step apart, a warm-up until windows agree, then the windows that count.

On processors that others share, windows differ by a tenth and more, and so do the medians of processes of one
program (measured on a virtual machine that showed no load and no stolen time: 7 to 10 %). What others do only ever
slows down, so the fastest lap, the shortest stretch that is timed, tells programs apart where medians cannot (Chen
and Revels 2016, "Robust benchmarking in noisy environments"). Both are told.
"""

from __future__ import annotations

import collections
import math
import time
from typing import Any, Callable

#: Seconds that a window lasts at least. On a GPU it is one lap, with one synchronisation at its end.
LEAST = 0.5
#: Windows that count, in each process.
WINDOWS = 2
#: Two windows in a row that differ by less than this share are warm; after so many windows it is taken as it is.
AGREE = 0.02
WARM_UP = 4
#: Seconds that a lap lasts at least on a processor, where a step is done when its call returns.
LAP = 0.02
#: On a GPU, which nothing disturbs: warm later, and then short windows, so that one process has many rows.
ON_GPU = {"least": 0.25, "windows": 3, "agree": 0.01, "warm_up": 8}


#: Seconds of the first step; steps per second of each window that counts, and of the fastest lap since the warm-up.
Rates = collections.namedtuple("Rates", ["first", "windows", "fastest"])


def how(device: str) -> dict[str, Any]:
    """The arguments of ``measure`` for a row on ``cpu`` or ``cuda``, where a step's call returns before its end."""
    return dict(ON_GPU) if device == "cuda" else {"lap": LAP}


def measure(
    repeat: Callable[[int], Any],
    *,
    lap: float | None = None,
    windows: int = WINDOWS,
    clock: Callable[[], float] = time.perf_counter,
    least: float = LEAST,
    agree: float = AGREE,
    warm_up: int = WARM_UP,
) -> Rates:
    """The Rates of ``repeat(n)``, which takes n steps and waits.

    ``lap``: seconds that a lap lasts at least, None where it is to be a whole window.
    """
    laps = []

    def timed(count: int) -> float:
        start = clock()
        repeat(count)
        return max(clock() - start, 1e-9)

    first = timed(1)
    seconds, count = timed(1), 1
    while seconds < least:
        # A short window says little about a long one: at most eight times as many steps each time.
        count = min(max(count + 1, math.ceil(1.1 * count * least / seconds)), 8 * count)
        seconds = timed(count)
    steps = count if lap is None else min(count, math.ceil(lap * count / seconds))

    def window() -> float:
        done, start = 0, clock()
        while not done or clock() - start < least:
            laps.append(timed(steps))
            done += steps
        return done / (clock() - start)

    rate = count / seconds
    for _ in range(warm_up):
        before, rate = rate, window()
        if abs(before - rate) <= agree * rate:
            break
    return Rates(first, [window() for _ in range(windows)], steps / min(laps))
