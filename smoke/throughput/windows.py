"""One row in one process: the first step apart, a warm-up until windows agree, then the windows that count."""

import math
import time

#: Seconds that a window lasts at least; it has one synchronisation, at its end.
LEAST = 0.5
#: Windows that count, in each process.
WINDOWS = 2
#: Two windows in a row that differ by less than this share are warm; after so many windows it is taken as it is.
AGREE = 0.02
WARM_UP = 4


def measure(repeat, windows=WINDOWS, clock=time.perf_counter, least=LEAST):
    """(seconds of the first step, steps per second of each window) of ``repeat(n)``, which takes n steps and waits."""

    def window(count):
        start = clock()
        repeat(count)
        return max(clock() - start, 1e-9)

    def enough(count, seconds):
        """So many steps that they last ``least`` seconds with a tenth to spare."""
        return count if seconds >= least else max(count + 1, math.ceil(1.1 * count * least / seconds))

    first = window(1)
    seconds, count = window(1), 1
    while seconds < least:
        # A short window says little about a long one: at most eight times as many steps each time.
        count = min(enough(count, seconds), 8 * count)
        seconds = window(count)
    for _ in range(WARM_UP):
        before, seconds = seconds, window(count)
        count, counted = enough(count, seconds), count
        # Per step: the two may be of different lengths.
        if counted == count and abs(before - seconds) <= AGREE * seconds:
            break
    rates = []
    while len(rates) < windows:
        seconds = window(count)
        if seconds >= least:
            rates.append(count / seconds)
        # The machine got faster than the one the count was made for.
        count = enough(count, seconds)
    return first, rates
