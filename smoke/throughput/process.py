"""The process that measures: ``python -m smoke.throughput.process``, started by collect.py, one for each repeat.

It says what it found event by event, so that what it had measured before a crash is kept.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
import traceback

from smoke import backends, child
from smoke.context import SkipError
from smoke.throughput import memory, networks, roof, rows, windows

#: Modes that a framework may be unable to carry out here; a plain mode has to work.
COMPILING = ("compiled", "jit")
#: How frameworks call it when a tensor does not fit.
FULL = ("OutOfMemoryError", "ResourceExhaustedError", "MemoryError")


class WrongNetworkError(Exception):
    """What was built is not the network that is described: an error in every mode."""


class Measuring:
    """One framework, imported and awake."""

    def __init__(self, framework, threads, emit):
        self.emit = emit
        started = time.perf_counter()
        # As many operations at once as TensorFlow would run if nobody set it.
        self.backend = backends.load(framework, threads, threads)
        self.speed = backends.speed(framework)
        self.device = "cuda" if self.backend.gpus() else "cpu"
        self.memory = self.speed.device_memory(self.backend) or memory.available()
        # One small step: thread pools, drivers and what is imported late are the framework's start, and no row's cost.
        first = rows.planned(framework, self.device)[0]
        first.batch = 1
        workload = self.speed.Workload(self.backend, first)
        workload.run(1)
        workload.close()
        emit(event="hello", device=self.device, seconds=time.perf_counter() - started)

    def roof(self):
        """Measure each figure of the roof."""
        started = time.perf_counter()
        for figure in roof.planned(self.device, self.memory, self.speed, self.backend):
            self.emit(event="begin", id="roof/" + figure.name)
            rates = windows.measure(figure.make(), windows=1).windows
            self.emit(event="roof", figure=figure.described(), samples=[figure.value(rate) for rate in rates])
        self.emit(event="roof_done", seconds=time.perf_counter() - started)

    def row(self, row):
        """Measure one row, or say why it cannot be measured here."""
        self.emit(event="begin", id=row.id)
        started = time.perf_counter()
        try:
            found = self._measured(row)
        except Exception as problem:
            reason = refusal(problem, row)
            if reason is None:
                raise
            traceback.print_exc()
            self.emit(event="skipped", id=row.id, reason=reason)
        else:
            self.emit(event="measured", id=row.id, seconds=time.perf_counter() - started, **found)

    def _measured(self, row):
        network = networks.NETWORKS[row.model]
        needed = networks.bytes_needed(network, row.kind, row.batch)
        if needed > self.memory:
            words = "needs about {:.0f} GB of memory, and {:.0f} GB are there"
            raise SkipError(words.format(needed / 1e9, self.memory / 1e9))
        self.backend.precision(row.precision == "tf32")
        self.speed.forget_peak(self.backend)
        memory.forget_peak()
        built = time.perf_counter()
        workload = self.speed.Workload(self.backend, row)
        try:
            if workload.parameters != networks.PARAMETERS[row.model]:
                words = "{} has {} parameters instead of {}"
                raise WrongNetworkError(words.format(row.model, workload.parameters, networks.PARAMETERS[row.model]))
            built = time.perf_counter() - built
            # A GPU is still at work when a step's call returns.
            rates = windows.measure(workload.run, lap=None if self.device == "cuda" else windows.LAP)
        finally:
            workload.close()
        return {
            "first_step_seconds": built + rates.first,
            "samples": [rate * row.batch for rate in rates.windows],
            "fastest": rates.fastest * row.batch,
            "peak_host_bytes": memory.peak(),
            "peak_device_bytes": self.speed.peak(self.backend),
        }


def refusal(problem, row):
    """Why the row cannot be measured here, or None where that is an error."""
    if isinstance(problem, SkipError):
        return str(problem)
    lines = [line.strip() for line in str(problem).split("\n") if line.strip()]
    said = "{}: {}".format(type(problem).__name__, (lines or [""])[0])[:300]
    if type(problem).__name__ in FULL:
        return "batch {} does not fit in the memory that is there: {}".format(row.batch, said)
    if row.mode not in COMPILING or isinstance(problem, WrongNetworkError):
        return None
    name = {"compiled": "torch.compile", "jit": "jit_compile"}[row.mode]
    if "compiler" in said.lower() and "c++" in str(problem).lower():
        return "{} needs a C++ compiler, which is not here: {}".format(name, said)
    return "{} does not work here: {}".format(name, said)


def main(arguments=None):
    """Measure what is asked for; stop before a row that would begin after ``--seconds``."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m smoke.throughput.process")
    parser.add_argument("--framework", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--roof", action="store_true")
    parser.add_argument("--rows", required=True)
    parser.add_argument("events", type=int)
    options = parser.parse_args(arguments)
    # A parent that is killed takes this process with it (prctl PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.set_inheritable(options.events, False)
    stream = os.fdopen(options.events, "w")

    def emit(**event):
        stream.write(json.dumps(child.plain(event), allow_nan=False) + "\n")
        stream.flush()

    measuring = Measuring(options.framework, options.threads, emit)
    for number, name in enumerate(options.rows.split(",")):
        if number and time.perf_counter() - started > options.seconds:
            break
        measuring.row(rows.parse(name, options.framework))
    if options.roof:
        # Last, since frameworks keep the memory that its large arrays took.
        measuring.roof()
    emit(event="done")
    stream.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Interpreter shutdown is not under test, and frameworks' threads have crashed in it.
    os._exit(0)


if __name__ == "__main__":
    main()
