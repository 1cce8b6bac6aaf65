"""What measuring costs: python benchmarks/overhead.py --torch PYTHON --tf2 PYTHON [--rounds N].

PYTHON is an interpreter with the framework, such as .dlmatrix/venvs/cpu-torch-2.13/bin/python. Each round
measures training at batch 128 by `python -m smoke` and by a loop written by hand (benchmarks/plain), each in
a fresh process, in turns. Prints one JSON object: ours divided by the loop's in each round, the median of the
ratios and its bootstrap 95 % interval, of the rate on the whole and of the fastest lap, which neighbours of the
machine disturb less. The aim is 0.97. Most processes of PyTorch's loop lose a fifth to
glibc's malloc, which smoke's do not (smoke/throughput/memory.py); with --same-environment the loop has
smoke's variables too, and what is left is what measuring costs.

With --gpu the rows are those that a GPU is measured by (smoke/throughput/rows.py), or those of --rows; each round
has one process of smoke and one loop (benchmarks/plain/*_gpu_loop.py) with the same settings for all rows, of
TensorFlow another of each for TF32. Every row is to reach 0.98, or it ends with exit code 1. It needs a GPU; with
--try-on-cpu everything but that is tried, and its ratios say nothing.
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
from smoke.throughput import collect, rows, stats  # noqa: E402

AIM = 0.97
GPU_AIM = 0.98
#: Of each framework a program that ends with 1 where it sees no GPU.
SEES_A_GPU = {
    "torch": "import sys, torch; sys.exit(not torch.cuda.is_available())",
    "tf2": "import sys, tensorflow; sys.exit(not tensorflow.config.list_physical_devices('GPU'))",
}
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
        summary[figure] = shown([a[at] / b[at] for a, b in zip(found["ours"], found["plain"], strict=True)])
    return summary | {"images per second": found}


def shown(ratios: list[float]) -> dict[str, Any]:
    """The median of ratios with its interval, and each of them."""
    low, high = stats.interval(ratios)
    found: dict[str, Any] = {"ratio": round(stats.median(ratios), 4), "low": round(low, 4), "high": round(high, 4)}
    return found | {"ratios": [round(ratio, 4) for ratio in ratios]}


def gpu_rows(framework: str) -> list[str]:
    """The ids of the rows that a GPU is measured by."""
    return [row.id for row in rows.planned(framework, "cuda") if row.tier <= rows.WANTED]


def groups(framework: str, names: list[str]) -> list[list[str]]:
    """What one process measures: of TensorFlow TF32 apart from the rest (smoke/throughput/sharing.py says why)."""
    apart = [name for name in names if framework != "torch" and "/tf32/" in name]
    return [group for group in ([name for name in names if name not in apart], apart) if group]


def gpu_ours(framework: str, python: str, names: list[str]) -> dict[str, float]:
    """Images per second by `python -m smoke` in one fresh process; a row that it skips is left out, and named."""
    command = [python, "-m", "smoke", "--framework", framework, "--json", "-", "--only", "throughput"]
    command += ["--rows", ",".join(names), "--processes", "1", "--throughput", "900"]
    found = json.loads(output(command))["throughput"]["rows"]
    for row in found:
        if row["outcome"] != "measured":
            print(f"{row['id']}: left out: {row['reason']}", file=sys.stderr)
    return {row["id"]: float(row["images_per_second"]["median"]) for row in found if row["outcome"] == "measured"}


def gpu_plain(framework: str, python: str, names: list[str], device: str) -> dict[str, float]:
    """Images per second by the loops written by hand, in one fresh process."""
    loop = ROOT / "benchmarks" / "plain" / f"{framework}_gpu_loop.py"
    lines = output([python, str(loop), str(cgroup.cpus()), device, *names]).decode().splitlines()
    return {found["row"]: float(found["images_per_second"]) for found in map(json.loads, lines)}


def compare_gpu(framework: str, python: str, rounds: int, names: list[str], device: str) -> dict[str, Any]:
    """The ratios of every row that both measured, and the rows that miss the aim."""
    ratios: dict[str, list[float]] = {}
    for group in groups(framework, names):
        for number in range(rounds):
            # What smoke cannot measure here, a loop is not asked for; after that in turns, so that neither comes first.
            ours = gpu_ours(framework, python, group) if number % 2 == 0 else {}
            group = list(ours) if number == 0 else group  # noqa: PLW2901 - the rows of this group from now on
            if not group:
                break
            plain = gpu_plain(framework, python, group, device)
            ours = ours or gpu_ours(framework, python, group)
            for name in group:
                ratios.setdefault(name, []).append(ours[name] / plain[name])
                print(f"{number + 1}/{rounds} {name}: {ours[name]:.1f} {plain[name]:.1f}", file=sys.stderr)
    found = {name: shown(values) for name, values in ratios.items()}
    missed = [name for name, value in found.items() if value["ratio"] < GPU_AIM]
    return {"aim": GPU_AIM, "device": device, "rows": found, "missed": missed}


def require_gpu(framework: str, python: str) -> None:
    """End, with what to do, where the framework sees no GPU."""
    if subprocess.run([python, "-c", SEES_A_GPU[framework]], capture_output=True, check=False).returncode != 0:
        raise SystemExit(
            f"--gpu needs a GPU, and the {framework} of {python} sees none: run it on a machine that has one, "
            "or try everything but the device with --try-on-cpu --rows ROW"
        )


def main_gpu(options: argparse.Namespace, chosen: dict[str, str]) -> None:
    """Measure the rows of a GPU, print the result, and end with 1 where a row misses the aim on one."""
    result = {}
    for framework, python in chosen.items():
        if not options.try_on_cpu:
            require_gpu(framework, python)
        names, device = options.rows or gpu_rows(framework), "cpu" if options.try_on_cpu else "cuda"
        result[framework] = compare_gpu(framework, python, options.rounds, names, device)
    print(json.dumps(result, indent=1))
    empty = [framework for framework, found in result.items() if not found["rows"]]
    if empty:
        raise SystemExit(f"no row was measured both ways: {', '.join(empty)}")
    if not options.try_on_cpu and any(found["missed"] for found in result.values()):
        raise SystemExit(1)


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for framework in MODES:
        parser.add_argument(f"--{framework}", metavar="PYTHON", help=f"an interpreter with {framework}")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--same-environment", action="store_true", help="give the loop the variables that smoke sets")
    parser.add_argument("--gpu", action="store_true", help="the rows of a GPU, each to reach 0.98; 5 rounds do")
    parser.add_argument("--rows", type=lambda text: text.split(","), default=[], metavar="ID,ID", help="of --gpu")
    parser.add_argument("--try-on-cpu", action="store_true", help="with --gpu: try it without one")
    options = parser.parse_args()
    chosen = {name: python for name in MODES if (python := getattr(options, name))}
    if not chosen:
        parser.error("name at least one interpreter: --torch PYTHON or --tf2 PYTHON")
    if options.gpu:
        main_gpu(options, chosen)
        return
    environ = collect.environment(cgroup.cpus()) if options.same_environment else None
    load = os.getloadavg()[0]
    result: dict[str, Any] = {name: compare(name, python, options.rounds, environ) for name, python in chosen.items()}
    print(json.dumps({"load_start": load, "load_end": os.getloadavg()[0], **result}, indent=1))


if __name__ == "__main__":
    main()
