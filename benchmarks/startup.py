"""What starting costs: python benchmarks/startup.py [--rounds N] OTHER [-- VERB ...].

OTHER is another checkout. Each round starts `python -m dlmatrix VERB` (default: list) once in each of the two, in
turns, with this interpreter. Prints one JSON object: the processor seconds of both (of user and system, so that
neighbours of the machine count little), this checkout's divided by the other's in each round, and the median of
these ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def seconds(checkout: Path, arguments: list[str]) -> float:
    """The processor seconds of one command in a checkout."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "dlmatrix", *arguments]
    environ = os.environ | {"PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=checkout, env=environ, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("verb", nargs="*", default=["list"])
    options = parser.parse_args()
    sides = (ROOT, options.other.resolve())
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(options.rounds + 1):
        # Who goes first takes turns too.
        for side in (0, 1) if number % 2 else (1, 0):
            found[side].append(seconds(sides[side], options.verb))
    here, other = (side[1:] for side in found)  # the first wrote the bytecode
    ratios = [ours / theirs for ours, theirs in zip(here, other, strict=True)]
    shown = {
        "verb": options.verb,
        "here": [round(value, 3) for value in here],
        "other": [round(value, 3) for value in other],
        "ratios": [round(value, 3) for value in ratios],
        "ratio": round(statistics.median(ratios), 3),
    }
    print(json.dumps(shown, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
