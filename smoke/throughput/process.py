"""The process that measures: ``python -m smoke.throughput.process``, started by collect.py, one for each repeat.

It says what it found event by event, so that what it had measured before a crash is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from typing import Any, Callable, NoReturn, Sequence

from smoke import backends, child, gpu, supervise
from smoke.context import SkipError
from smoke.throughput import cards, memory, networks, roof, rows, sharing, stats, windows

#: Modes that a framework may be unable to carry out here, by what it is then called; a plain mode has to work.
OPTIONAL = {
    "compiled": "torch.compile",
    "compiled_channels_last": "torch.compile",
    "jit": "jit_compile",
    "cuda_graph": "a CUDA graph",
}
#: How frameworks say that they have no kernel for a type of numbers.
NO_KERNEL = ("OpKernel", "kernels registered", "not implemented for")
#: How frameworks call it when a tensor does not fit.
FULL = ("OutOfMemoryError", "ResourceExhaustedError", "MemoryError")


class WrongNetworkError(Exception):
    """What was built is not the network that is described: an error in every mode."""


class Measuring:
    """One framework, imported and awake."""

    def __init__(self, framework: str, threads: int, emit: Callable[..., None]) -> None:
        self.emit = emit
        started = time.perf_counter()
        # As many operations at once as TensorFlow would run if nobody set it.
        self.backend = backends.load(framework, threads, threads)
        self.speed = backends.speed(framework)
        self.device = "cuda" if self.backend.gpus() else "cpu"
        found = self.speed.device_memory(self.backend), self.speed.capability(self.backend)
        #: what rows depend on; None where there is none, or it does not say
        self.card = dict(zip(("memory", "capability"), found))
        self.memory = self.card["memory"] or memory.available()
        # TensorFlow's own choice is TF32.
        self.backend.precision(False)
        # One small step: thread pools, drivers and what is imported late are the framework's start, and no row's cost.
        first = rows.planned(framework, self.device)[0]
        first.batch = 1
        workload = self.speed.Workload(self.backend, first)
        workload.run(1)
        workload.close()
        emit(event="hello", device=self.device, card=self.card, seconds=time.perf_counter() - started)

    def roof(self) -> None:
        """Measure each figure of the roof."""
        started = time.perf_counter()
        how = dict(windows.ON_GPU, windows=2) if self.device == "cuda" else {"windows": 1}
        for figure in roof.planned(self.device, self.memory, self.speed, self.backend, self.card["capability"]):
            self.emit(event="begin", id="roof/" + figure.name)
            self.backend.precision(figure.tf32)
            try:
                rates = windows.measure(figure.make(), **how).windows
            except SkipError as problem:
                print(f"no roof {figure.detail}: {problem}")
                continue
            self.emit(event="roof", figure=figure.described(), samples=[figure.value(rate) for rate in rates])
        self.emit(event="roof_done", seconds=time.perf_counter() - started)

    def row(self, row: rows.Row) -> float | None:
        """Measure one row and give its images/s, or say why it cannot be measured here and give None."""
        self.emit(event="begin", id=row.id)
        started = time.perf_counter()
        try:
            found = self._measured(row)
        except Exception as problem:
            reason = refusal(problem, row)
            if reason is None:
                raise
            traceback.print_exc()
            self.emit(event="skipped", id=row.id, reason=reason, seconds=time.perf_counter() - started)
            return None
        self.emit(event="measured", id=row.id, seconds=time.perf_counter() - started, **found)
        return stats.median(found["samples"])

    def _measured(self, row: rows.Row) -> dict[str, Any]:
        refused = cards.refused(row.precision, self.card["capability"])
        if refused:
            raise SkipError(refused)
        network = networks.NETWORKS[row.model]
        # A GPU says itself when it is full, and nothing else is killed for it.
        needed = networks.bytes_needed(network, row.kind, row.batch) if self.device == "cpu" else 0
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
            rates = windows.measure(workload.run, **windows.how(self.device))
        finally:
            workload.close()
        return {
            "first_step_seconds": built + rates.first,
            "samples": [rate * row.batch for rate in rates.windows],
            "fastest": rates.fastest * row.batch,
            "peak_host_bytes": memory.peak(),
            "peak_device_bytes": self.speed.peak(self.backend),
        }


def refusal(problem: Exception, row: rows.Row) -> str | None:
    """Why the row cannot be measured here, or None where that is an error."""
    if isinstance(problem, SkipError):
        return str(problem)
    lines = [line.strip() for line in str(problem).split("\n") if line.strip()]
    said = "{}: {}".format(type(problem).__name__, (lines or [""])[0])[:300]
    if type(problem).__name__ in FULL or gpu.NO_ROOM.search(str(problem)):
        return f"batch {row.batch} does not fit in the memory that is there: {said}"
    if row.precision == "bf16" and any(words in str(problem) for words in NO_KERNEL):
        return f"this framework has no bfloat16 kernel for it: {said}"
    if row.mode not in OPTIONAL or isinstance(problem, WrongNetworkError):
        return None
    name = OPTIONAL[row.mode]
    if "compiler" in said.lower() and "c++" in str(problem).lower():
        return f"{name} needs a C++ compiler, which is not here: {said}"
    return f"{name} does not work here: {said}"


def turns(options: argparse.Namespace, measuring: Measuring, elapsed: float) -> sharing.Turns | None:
    """The Turns of a process that shares a GPU's rows with others, None elsewhere."""
    if measuring.device != "cuda" or not (options.share or options.costs):
        return None
    if options.costs:
        wanted = [rows.parse(name, options.framework) for name in options.rows.split(",")]
        costs = sharing.Costs(zip((row.id for row in wanted), map(float, options.costs.split(","))))
        return sharing.Turns(wanted, costs, options.seconds, with_roof=options.roof)
    planned = rows.planned(options.framework, "cuda", cards.full_batch(measuring.card["memory"]))
    how = {"processes": options.share, "start": elapsed, "with_roof": options.roof}
    return sharing.first(options.framework, planned, measuring.card, options.seconds, **how)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the parent asks for."""
    parser = argparse.ArgumentParser(prog="python -m smoke.throughput.process")
    parser.add_argument("--framework", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--roof", action="store_true")
    parser.add_argument("--share", type=int, default=0, help="the processes that share all rows of a GPU")
    parser.add_argument("--costs", default="", help="seconds that each row is expected to take")
    parser.add_argument("--rows", required=True)
    parser.add_argument("events", type=int)
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace, measuring: Measuring, clock: Callable[[], float]) -> None:
    """Measure what is asked for; stop before a row that would begin after ``--seconds`` by ``clock()``."""
    shared = turns(options, measuring, clock())
    if shared is not None:
        sharing.run(shared, measuring.row, clock)
    else:
        for number, name in enumerate(options.rows.split(",")):
            if number and clock() > options.seconds:
                break
            measuring.row(rows.parse(name, options.framework))
    if options.roof:
        # Last, since frameworks keep the memory that its large arrays took.
        measuring.roof()


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Measure, and tell it event by event."""
    started = time.perf_counter()
    options = options_of(arguments)
    supervise.die_with_parent()
    os.set_inheritable(options.events, False)
    stream = os.fdopen(options.events, "w")

    def emit(**event: Any) -> None:
        stream.write(json.dumps(child.plain(event), allow_nan=False) + "\n")
        stream.flush()

    measuring = Measuring(options.framework, options.threads, emit)
    measure(options, measuring, lambda: time.perf_counter() - started)
    emit(event="done")
    stream.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Interpreter shutdown is not under test, and frameworks' threads have crashed in it.
    os._exit(0)


if __name__ == "__main__":
    main()
