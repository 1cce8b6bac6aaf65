"""What measuring costs: python benchmarks/overhead.py --torch PYTHON --tf2 PYTHON [--rounds N].

PYTHON is an interpreter with the framework, such as .dlmatrix/venvs/cpu-torch-2.13/bin/python. Each round
measures training at batch 128 by `python -m smoke` and by a loop written by hand (benchmarks/plain), each in
a fresh process, in turns. Prints one JSON object: ours divided by the loop's in each round, the median of the
ratios and its bootstrap 95 % interval, of the rate on the whole and of the fastest lap, which neighbours of the
machine disturb less. The aim is 0.97. Most processes of PyTorch's loop lose a fifth to
glibc's malloc, which smoke's do not (smoke/throughput/memory.py); with --same-environment the loop has
smoke's variables too, and what is left is what measuring costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from smoke import cgroup  # noqa: E402 - from the checkout, wherever this is started
from smoke.throughput import collect, stats  # noqa: E402

AIM = 0.97
MODES = {"torch": "eager", "tf2": "graph"}


def ours(framework: str, python: str) -> list[float]:
    """Images per second by `python -m smoke` in one fresh process: the median window, the fastest lap."""
    row = f"cnn/train/{MODES[framework]}/128/fp32/device"
    command = [python, "-m", "smoke", "--framework", framework, "--json", "-", "--only", "throughput"]
    command += ["--rows", row, "--processes", "1", "--throughput", "60"]
    (found,) = json.loads(output(command))["throughput"]["rows"]
    return [float(found["images_per_second"]["median"]), float(found["fastest"][0])]


def plain(framework: str, python: str, environ: dict[str, str] | None = None) -> list[float]:
    """Images per second by the loop written by hand, with as many threads: on the whole, and in the fastest lap."""
    loop = ROOT / "benchmarks" / "plain" / f"{framework}_loop.py"
    return [float(word) for word in output([python, str(loop), str(cgroup.cpus())], environ).split()]


def output(command: list[str], environ: dict[str, str] | None = None) -> bytes:
    """What a command writes; its log goes to stderr where it fails."""
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stderr)
        raise SystemExit(f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout


def compare(framework: str, python: str, rounds: int, environ: dict[str, str] | None) -> dict[str, Any]:
    """The ratios of the rounds."""
    ways: dict[str, Callable[[str, str], list[float]]] = {"ours": ours, "plain": partial(plain, environ=environ)}
    found: dict[str, list[list[float]]] = {way: [] for way in ways}
    for number in range(rounds):
        # In turns, so that neither always comes first.
        for way in sorted(ways, reverse=bool(number % 2)):
            found[way].append([round(rate, 1) for rate in ways[way](framework, python)])
        print(f"{framework} {number + 1}/{rounds}: {found['ours'][-1]} {found['plain'][-1]}", file=sys.stderr)
    summary: dict[str, Any] = {"aim": AIM}
    for at, figure in enumerate(("on the whole", "fastest")):
        ratios = [a[at] / b[at] for a, b in zip(found["ours"], found["plain"], strict=True)]
        low, high = stats.interval(ratios)
        summary[figure] = {"ratio": round(stats.median(ratios), 4), "low": round(low, 4), "high": round(high, 4)}
        summary[figure]["ratios"] = [round(ratio, 4) for ratio in ratios]
    return summary | {"images per second": found}


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for framework in MODES:
        parser.add_argument(f"--{framework}", metavar="PYTHON", help=f"an interpreter with {framework}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--same-environment", action="store_true", help="give the loop the variables that smoke sets")
    options = parser.parse_args()
    chosen = {name: python for name in MODES if (python := getattr(options, name))}
    if not chosen:
        parser.error("name at least one interpreter: --torch PYTHON or --tf2 PYTHON")
    environ = collect.environment(cgroup.cpus()) if options.same_environment else None
    load = os.getloadavg()[0]
    result: dict[str, Any] = {name: compare(name, python, options.rounds, environ) for name, python in chosen.items()}
    print(json.dumps({"load_start": load, "load_end": os.getloadavg()[0], **result}, indent=1))


if __name__ == "__main__":
    main()
