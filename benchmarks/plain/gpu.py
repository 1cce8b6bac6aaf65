"""What the loops for a GPU share: the rows on the command line, and how fast steps are."""

import json
import statistics
import sys
import time

FIELDS = ("model", "kind", "mode", "batch", "precision", "feed")
#: Seconds of warm-up, of a window, and how many windows.
WARM_UP, WINDOW, WINDOWS = 1.5, 0.5, 5


class Row:
    """A row of smoke/throughput/rows.py, read from its id."""

    def __init__(self, name):
        self.id = name
        self.model, self.kind, self.mode, batch, self.precision, self.feed = name.split("/")
        self.batch = int(batch)


def told(names, make):
    """Print a line of JSON for each row; ``make(row)`` gives ``steps(n)``, which takes n steps and waits for them."""
    for name in names:
        row = Row(name)
        steps = make(row)
        print(json.dumps({"row": name, "images_per_second": rate(steps, time.perf_counter) * row.batch}), flush=True)


def rate(steps, clock):
    """Steps per second: the median of windows, each waited for at its end."""
    steps(3)
    count, started = 1, clock()
    while clock() - started < WARM_UP:
        began = clock()
        steps(count)
        took = max(clock() - began, 1e-9)
        count = max(1, min(round(count * WINDOW / took), 8 * count))
    found = []
    for _ in range(WINDOWS):
        began = clock()
        steps(count)
        found.append(count / (clock() - began))
    return statistics.median(found)


def arguments():
    """(threads, device, ids of rows) of the command line."""
    threads, device, *names = sys.argv[1:]
    return int(threads), device, names
