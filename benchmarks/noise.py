"""A against A, and against planted slowdowns, on this machine: python benchmarks/noise.py [ENV] [--repetitions N].

Each repetition measures four sets of fresh processes of one row, in turns: twice the same, and twice
with more work than is counted (11 steps for 10, and 31 for 30: 10 % and 3.3 % more time). It prints
one JSON object: how often the rule of ``dlmatrix compare`` says what of the second, third and
fourth set against the first; the same where the turns are used as pairs, as for a container against
bare metal; and of each repetition's first set against the one before, which shows what time apart
adds. ``spread`` is what the floors in dlmatrix/comparison/pair.py come from. Needs a quiet machine:
nothing else may run. A repetition takes two to three minutes on two processors; those that are done
are kept in --keep, and a second call goes on from there.
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
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

#: Steps that are counted at a time, and how many are made.
SETS = {"A": (10, 10), "A again": (10, 10), "10 % slower": (10, 11), "3 % slower": (30, 31)}
#: images/s: of each set, of each process, of each window.
Repetition = dict[str, list[list[float]]]


def worker(framework: str, threads: int, counted: int, made: int, *, row: str) -> None:
    """Measure the row once, as smoke does, and print images/s of its windows."""
    process = importlib.import_module("smoke.throughput.process")
    rows, windows = (importlib.import_module(f"smoke.throughput.{name}") for name in ("rows", "windows"))
    measuring = process.Measuring(framework, threads, lambda **event: None)
    wanted = rows.parse(row, framework)
    workload = measuring.speed.Workload(measuring.backend, wanted)
    _, rates = windows.measure(lambda count: workload.run(count * made))
    print(json.dumps([rate * counted * wanted.batch for rate in rates]))


def repeat(start: Callable[[int, int], list[float]], processes: int, number: int) -> Repetition:
    """One repetition: every set has a process in each round, and another goes first each time."""
    found: Repetition = {name: [] for name in SETS}
    for turn in range(processes):
        names = list(SETS)
        first = (turn + number) % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(start(*SETS[name]))
    return found


def summary(repetitions: Sequence[Repetition], floor: float) -> dict[str, Any]:
    """What the rule says of the repetitions, and how far figures are apart."""
    from dlmatrix.comparison.intervals import Ratio, judge, paired_ratio, ratio  # noqa: PLC0415 - not in the worker, whose env has no tools
    from dlmatrix.comparison.reports import process_medians  # noqa: PLC0415

    def says(ratios: Sequence[Ratio]) -> dict[str, int]:
        return dict(Counter(judge([found], [floor])[0][0] for found in ratios))

    sets = [{name: process_medians(processes) for name, processes in one.items()} for one in repetitions]
    others = [name for name in SETS if name != "A"]
    apart = {name: [ratio(one[name], one["A"]) for one in sets] for name in others}
    later = [ratio(after["A"], before["A"]) for before, after in itertools.pairwise(sets)]
    middles = [math.log(statistics.median(one["A"])) for one in sets]
    return {
        "verdicts": {name: says(ratios) for name, ratios in apart.items()},
        "verdicts in pairs": {name: says([paired_ratio(one[name], one["A"]) for one in sets]) for name in others},
        "verdicts on the repetition before": says(later),
        "ratios": {name: [round(found.ratio, 4) for found in ratios] for name, ratios in apart.items()},
        "spread": {
            "between windows": _pooled([windows for one in repetitions for windows in one["A"]]),
            "between processes": _pooled([one["A"] for one in sets]),
            "between sets in turns": _root_mean_square([math.log(found.ratio) for found in apart["A again"]]),
            "between repetitions": round(statistics.stdev(middles), 4) if len(middles) > 1 else None,
        },
    }


def _pooled(groups: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation within groups, relative."""
    deviations = [statistics.stdev(map(math.log, group)) for group in groups if len(group) > 1]
    return _root_mean_square(deviations) if deviations else None


def _root_mean_square(values: Sequence[float]) -> float:
    return round(math.sqrt(statistics.fmean(value * value for value in values)), 4)


def main() -> None:
    """Measure what is not kept yet, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env", nargs="?", default="cpu-torch-2.13")
    parser.add_argument("--row", default="cnn/train/eager/128/fp32/device")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "dlmatrix-noise.jsonl")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        framework, *numbers = options.worker
        worker(framework, *map(int, numbers), row=options.row)
        return
    from dlmatrix.comparison.pair import FLOORS  # noqa: PLC0415 - not in the worker, whose env has no tools
    from dlmatrix.engines.venv import VenvEngine  # noqa: PLC0415
    from dlmatrix.load import load_matrix, lock_of, select  # noqa: PLC0415
    from dlmatrix.plan import Limits, make_plan  # noqa: PLC0415
    from dlmatrix.site import read_site  # noqa: PLC0415

    matrix = load_matrix(ROOT)
    (env,) = select(matrix, [options.env])
    plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
    uv = importlib.import_module("uv").find_uv_bin()
    python = VenvEngine(read_site(os.environ), uv).prepare(plan, lambda line: None).what
    threads = str(len(os.sched_getaffinity(0)))
    collect = importlib.import_module("smoke.throughput.collect")
    environ = collect.environment(int(threads)) | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(counted: int, made: int) -> list[float]:
        command = [python, __file__, "--row", options.row, "--worker", env.framework, threads, str(counted), str(made)]
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True)
        return [float(rate) for rate in json.loads(done.stdout)]

    key = {"env": env.name, "row": options.row, "processes": options.processes, "sets": list(map(list, SETS.values()))}
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
