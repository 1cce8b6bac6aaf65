"""A against A, and against a planted slowdown, on this machine: python benchmarks/noise.py [ENV] [--repetitions N].

Each repetition measures two sets of fresh processes of one row, in turns, each as smoke does: A, and the
same with every step made longer by 10 % of the time that it took. It prints one JSON object: how often
``dlmatrix compare`` says what of the slower set against A, of A against A of the repetition before, and
of that with 3 % taken off; what its other rule would say of the processes' medians; and ``spread``, which
the floors in dlmatrix/comparison/pair.py come from. Nothing else of ours may run. A repetition takes about
two minutes on two processors; those that are done are kept in --keep, and a second call goes on there.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

#: By what share of its own time each step is made longer.
SETS = {"A": 0.0, "slower": 0.1}
#: Of each set, of each process: images/s of its windows, and of its fastest lap.
Repetition = dict[str, list[tuple[list[float], float]]]


def worker(framework: str, threads: int, longer: float, *, row: str) -> None:
    """Measure the row once, as smoke does, and print images/s of its windows and of its fastest lap."""
    names = ("process", "rows", "windows")
    process, rows, windows = (importlib.import_module(f"smoke.throughput.{name}") for name in names)
    measuring = process.Measuring(framework, threads, lambda **event: None)
    wanted = rows.parse(row, framework)
    workload = measuring.speed.Workload(measuring.backend, wanted)

    def steps(count: int) -> None:
        for _ in range(count):
            start = time.perf_counter()
            workload.run(1)
            end = time.perf_counter()
            # Awake, since a processor that slept is slower at first.
            while time.perf_counter() < end + longer * (end - start):
                pass

    rates = windows.measure(steps, lap=windows.LAP)
    print(json.dumps([[rate * wanted.batch for rate in rates.windows], rates.fastest * wanted.batch]))


def repeat(start: Callable[[float], tuple[list[float], float]], processes: int, number: int) -> Repetition:
    """One repetition: every set has a process in each round, and another goes first each time."""
    found: Repetition = {name: [] for name in SETS}
    for turn in range(processes):
        names = list(SETS)
        first = (turn + number) % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(start(SETS[name]))
    return found


def summary(repetitions: Sequence[Repetition], floor: float) -> dict[str, Any]:
    """What ``compare`` says of the repetitions, and how far figures are apart."""
    from dlmatrix.comparison.intervals import FastestRatio, judge, ratio  # noqa: PLC0415 - not in the worker, whose env has no tools
    from dlmatrix.comparison.reports import process_medians  # noqa: PLC0415

    sets = [
        {"fastest": {name: tuple(lap for _, lap in processes) for name, processes in one.items()}}
        | {"median": {name: process_medians(windows for windows, _ in processes) for name, processes in one.items()}}
        for one in repetitions
    ]
    found: dict[str, Any] = {}
    for figure, rule in (("fastest", FastestRatio), ("median", ratio)):
        ours = [one[figure] for one in sets]
        pairs = list(itertools.pairwise(one["A"] for one in ours))
        against = {
            "10 % slower": [rule(one["slower"], one["A"]) for one in ours],
            "A again": [rule(after, before) for before, after in pairs],
            "A again, 3 % off": [rule([0.97 * value for value in after], before) for before, after in pairs],
        }
        logs = [[math.log(value) for value in one["A"]] for one in ours]
        found[figure] = {
            "verdicts": {
                name: Counter(judge([one], [floor])[0][0] for one in ratios) for name, ratios in against.items()
            },
            "ratios": {name: [round(one.ratio, 4) for one in all_] for name, all_ in against.items()},
            "spread": {
                "between processes": _root_mean_square([statistics.stdev(group) for group in logs if len(group) > 1]),
                "between repetitions": _root_mean_square([math.log(one.ratio) for one in against["A again"]]),
            },
        }
    return found


def _root_mean_square(values: Sequence[float]) -> float | None:
    return round(math.sqrt(statistics.fmean(value * value for value in values)), 4) if values else None


def main() -> None:
    """Measure what is not kept yet, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env", nargs="?", default="cpu-torch-2.13")
    parser.add_argument("--row", default="cnn/train/eager/128/fp32/device")
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "dlmatrix-noise.jsonl")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        framework, threads, longer = options.worker
        worker(framework, int(threads), float(longer), row=options.row)
        return
    from dlmatrix.comparison.pair import FLOORS  # noqa: PLC0415 - not in the worker, whose env has no tools
    from dlmatrix.engines.venv import VenvEngine  # noqa: PLC0415
    from dlmatrix.matrix.load import load_matrix, lock_of, select  # noqa: PLC0415
    from dlmatrix.matrix.plan import Limits, make_plan  # noqa: PLC0415
    from dlmatrix.matrix.site import read_site  # noqa: PLC0415

    matrix = load_matrix(ROOT)
    (env,) = select(matrix, [options.env])
    plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
    uv = importlib.import_module("uv").find_uv_bin()
    python = VenvEngine(read_site(os.environ), uv).prepare(plan, lambda line: None).what
    threads = str(len(os.sched_getaffinity(0)))
    collect = importlib.import_module("smoke.throughput.collect")
    environ = collect.environment(int(threads)) | {"PYTHONPATH": str(ROOT)}
    # Or a framework is compiled anew in every process.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)

    def start(longer: float) -> tuple[list[float], float]:
        command = [python, __file__, "--row", options.row, "--worker", env.framework, threads, str(longer)]
        windows, fastest = json.loads(subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True).stdout)
        return windows, fastest

    key = {"env": env.name, "row": options.row, "processes": options.processes, "sets": SETS}
    lines = options.keep.read_text(encoding="utf-8").splitlines() if options.keep.is_file() else []
    kept = [one["sets"] for one in map(json.loads, lines) if one["of"] == key][: options.repetitions]
    load = os.getloadavg()[0]
    for number in range(len(kept), options.repetitions):
        kept.append(repeat(start, options.processes, number))
        with options.keep.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": key, "sets": kept[-1]}) + "\n")
        print(f"{number + 1} of {options.repetitions}", file=sys.stderr)
    floor = FLOORS["cpu" if env.variant == "cpu" else "cuda"]
    head = {"repetitions": len(kept), "floor": floor, "load when it started": load, "threads": int(threads)}
    print(json.dumps(key | head | summary(kept, floor), indent=1))


if __name__ == "__main__":
    main()
