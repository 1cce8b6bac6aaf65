"""How long --quick takes, side by side: python benchmarks/quick.py OLD NEW [--rounds N] [--cells CELL,CELL].

OLD and NEW are two checkouts, each with a .venv. First each builds the cells and keeps what it finds of their
images; then, in turns, each runs `nox -s CELLS -- --engine docker --quick` and the same for the first cell alone,
with everything cached. Both build images of the same names: before each run the names are given to the images of
its checkout. Prints one JSON object: seconds of each round, new divided by old, and the medians; exit code 1 where
those are over the aims, 0.5 of all cells and 0.6 of one. Needs a Docker engine, and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: The cells that can be built where no index but the default one is in reach; the first one is run alone, too.
CELLS = ("cpu-torch-2.13", "cpu-tf2-2.21", "cpu-tf2-2.18", "cpu-tf2-2.15", "cpu-tf2-2.10", "cpu-tf1-compat-2.15")
CELLS += ("cpu-tf1-1.15",)
AIMS = {"all": 0.5, "one": 0.6}


def call(checkout: Path, *command: str) -> str:
    """What a command of a checkout says; ends the benchmark where it does not end well."""
    done = subprocess.run(
        [str(checkout / ".venv" / "bin" / command[0]), *command[1:]],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{checkout}: {' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def docker(*arguments: str) -> None:
    """Run a docker command."""
    subprocess.run(["docker", *arguments], check=True, stdout=subprocess.DEVNULL)


def name(side: str, cell: str) -> str:
    """The name that keeps a checkout's image while the other's has the cell's."""
    return f"dlmatrix-benchmark-{os.getpid()}:{side}-{cell}"


def timed(side: str, checkout: Path, cells: Sequence[str]) -> float:
    """Seconds of a whole nox call, of which every cell passed with the image that was there."""
    for cell in cells:
        docker("tag", name(side, cell), f"dlmatrix:{cell}")
    sessions = [f"{cell.rpartition('-')[0]}({cell.rpartition('-')[2]})" for cell in cells]
    started = time.perf_counter()
    said = call(checkout, "nox", "-s", *sessions, "--", "--engine", "docker", "--quick")
    seconds = time.perf_counter() - started
    folders = [line.partition("report: ")[2] for line in said.splitlines() if line.startswith("report: ")]
    envs = [env for folder in folders for env in json.loads((checkout / folder / "result.json").read_text())["envs"]]
    if sorted((env["name"], env["outcome"], env["built"]) for env in envs) != [
        (c, "passed", False) for c in sorted(cells)
    ]:
        sys.exit(f"{checkout}: not every cell passed with the image that was there:\n{said[-4000:]}")
    return round(seconds, 1)


def measure(sides: dict[str, Path], cells: Sequence[str], rounds: int) -> dict[str, Any]:
    """The seconds of each side in each round, who goes first taking turns."""
    seconds: dict[str, dict[str, list[float]]] = {part: {side: [] for side in sides} for part in AIMS}
    for number in range(rounds):
        for side in list(sides) if number % 2 else reversed(sides):
            for part, these in (("all", cells), ("one", cells[:1])):
                seconds[part][side].append(timed(side, sides[side], these))
                print(f"round {number + 1}, {side}, {part}: {seconds[part][side][-1]} s", file=sys.stderr, flush=True)
    found: dict[str, Any] = {}
    for part, of in seconds.items():
        ratios = [round(new / old, 3) for old, new in zip(of["old"], of["new"], strict=True)]
        found[part] = {**of, "ratios": ratios, "median": statistics.median(ratios), "aim": AIMS[part]}
    return found


def main() -> int:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=lambda text: text.split(","), default=list(CELLS), metavar="CELL,CELL")
    options = parser.parse_args()
    sides = {"old": options.old.absolute(), "new": options.new.absolute()}
    try:
        for side, checkout in sides.items():
            call(checkout, "python", "-m", "dlmatrix", "run", *options.cells, "--engine", "docker", "--throughput", "0")
            for cell in options.cells:
                docker("tag", f"dlmatrix:{cell}", name(side, cell))
        load = os.getloadavg()[0]
        found = measure(sides, options.cells, options.rounds)
    finally:
        tags = [name(side, cell) for side in sides for cell in options.cells]
        subprocess.run(
            ["docker", "image", "rm", *tags], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    print(json.dumps({"cells": options.cells, "cpus": os.cpu_count(), "load before": load, **found}, indent=1))
    return int(any(part["median"] > part["aim"] for part in found.values()))


if __name__ == "__main__":
    sys.exit(main())
