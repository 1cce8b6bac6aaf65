"""Cold builds against the plain way, side by side: python benchmarks/cold_build.py [ENV] [--rounds N].

All build the same lock on the same base with every wheel in the installer's cache and no layer in
BuildKit's. The plain way is what most Dockerfiles do: venv, pip install, default compression. dlmatrix
makes the wheels' layers first, or has them in its cache, or lacks one since a small pin is another (here:
the lock's last distribution is left out) while the engine has the rest. Time is the whole command's; disk
is the most that the engine's file system held beyond what it held before, so nothing else may write to it
meanwhile; what earlier builds left there is removed first, or it would go away during one. Prints one JSON
object, with this process's memory at its peak and the machine's load. Needs a Docker engine, whose build
cache it empties, and its data on a file system with a journal: on ext4 without one the kernel searches past
each inode that was deleted in the last minutes (recently_deleted in fs/ext4/ialloc.c), and both ways wait
for that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dlmatrix.engines.docker.engine import DockerEngine, connect
from dlmatrix.engines.docker.wheels import Workshop
from dlmatrix.layers.cache import Cache
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import Limits, Plan, make_plan
from dlmatrix.matrix.site import read_site
from dlmatrix.system.checkout import find_root

#: Seconds for which a disk's megabytes must not change.
SETTLED = 4
NAME = f"dlmatrix-benchmark-{os.getpid()}"
#: The way that finds all on the engine but one layer of small wheels.
PIN = "one small pin"
PLAIN = """\
ARG BASE
FROM ${BASE}
COPY lock.txt /lock.txt
ARG ROUND
RUN --mount=type=cache,id=${CACHE},target=/var/cache/pip \\
    --mount=type=bind,source=wheels,target=/wheels \\
    --mount=type=secret,id=ca --mount=type=secret,id=pip \\
    python3 -m venv /opt/venv && PIP_CACHE_DIR=/var/cache/pip PIP_CONFIG_FILE=/run/secrets/pip \\
    /opt/venv/bin/pip install --quiet --require-hashes --find-links /wheels --requirement /lock.txt
"""


def measure(build: Callable[[], None], disk: Path) -> dict[str, float]:
    """Seconds of a build, and the megabytes it needed at its peak."""
    before, peak, done = shutil.disk_usage(disk).used, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], shutil.disk_usage(disk).used - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        build()
    finally:
        seconds = time.perf_counter() - started
        done.set()
        watcher.join()
    return {"seconds": round(seconds, 2), "peak_mb": round(peak[0] / 1e6)}


def clear(engine: DockerEngine, tag: str, disk: Path) -> None:
    """Remove the images of both ways, and the layers of all builds; the installers' caches stay.

    The env's own image goes too, since its layers are the same. The engine deletes files after it has answered, which
    would slow down the next build: that is waited for.
    """
    for image in (tag, f"{NAME}:plain", f"{NAME}:dlmatrix"):
        engine.images.remove(image)
    prune = ["docker", "buildx", "prune", "--builder", "default", "--all", "--force", "--filter", "type=regular"]
    subprocess.run(prune, check=True, stdout=subprocess.DEVNULL)
    used: list[int] = []
    while len(used) < SETTLED or len(set(used[-SETTLED:])) > 1:
        os.sync()
        time.sleep(1)
        used.append(shutil.disk_usage(disk).used >> 20)


def plain(plan: Plan, base: str, site: Site, number: int) -> None:
    """Build with pip, as most Dockerfiles do."""
    with tempfile.TemporaryDirectory(dir=plan.root / ".dlmatrix") as name:
        folder = Path(name)
        (folder / "wheels").mkdir()
        for wheel in Local(site, plan.lock, plan.env.python).files:
            shutil.copy2(wheel, folder / "wheels" / wheel.name)
        shutil.copy(plan.lock.file, folder / "lock.txt")
        (folder / "Dockerfile").write_text(PLAIN.replace("${CACHE}", NAME), encoding="utf-8")
        lines = ["[global]", *([f"index-url = {site.index}"] if site.index else [])]
        lines += [f"extra-index-url = {' '.join(site.extra_indexes)}"] if site.extra_indexes else []
        lines += ["cert = /run/secrets/ca"] if site.ca_bundle else []
        (folder / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["docker", "buildx", "build", "--builder", "default", "--quiet", "--provenance=false"]
        command += ["--build-arg", f"BASE={base}", "--build-arg", f"ROUND={number}"]
        command += ["--secret", f"id=pip,src={folder / 'pip.conf'}"]
        command += ["--secret", f"id=ca,src={site.ca_bundle}"] if site.ca_bundle else []
        subprocess.run([*command, "--output", f"type=image,name={NAME}:plain", name], check=True, stdout=sys.stderr)


def ours(engine: DockerEngine, plan: Plan, cache: Cache) -> None:
    """Build as dlmatrix does, with this cache of layers; uv's downloads are the user's own."""
    workshop = Workshop(cache=cache)
    engine.build(plan, engine.choose_base(plan.base), lambda line: None, tag=f"{NAME}:dlmatrix", workshop=workshop)


def one_less(plan: Plan) -> Plan:
    """The plan without its lock's last distribution, a small one: what shares a layer with it is made anew."""
    return replace(plan, lock=replace(plan.lock, entries=plan.lock.entries[:-1]))


def warm(engine: DockerEngine, plan: Plan) -> float:
    """Seconds to find the env's own image up to date."""
    engine.prepare(plan, lambda line: None)
    started = time.perf_counter()
    engine.prepare(plan, lambda line: None)
    return round(time.perf_counter() - started, 3)


def middle(rounds: list[dict[str, float]]) -> Mapping[str, float]:
    """The median of each measure."""
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def pairs(found: Mapping[str, list[dict[str, float]]], way: str, key: str) -> list[tuple[float, float]]:
    """A measure of a way and of the plain way, round by round: what disturbs a round disturbs both."""
    return [(ours[key], plain[key]) for ours, plain in zip(found[way], found["plain"], strict=True)]


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env", nargs="?", default="cpu-tf2-2.21")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--disk", type=Path, default=Path("/"), help="a folder on the engine's file system")
    options = parser.parse_args()
    matrix, site = load_matrix(find_root()), read_site(os.environ)
    (env,) = select(matrix, [options.env])
    plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
    engine = connect(site, "auto")
    base = engine.choose_base(plan.base)
    folder = Path(
        tempfile.mkdtemp(prefix="dlmatrix-benchmark-", dir=options.disk if options.disk != Path("/") else None)
    )

    def cold(number: int) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        ours(engine, plan, Cache(folder))

    ways: dict[str, Callable[[int], None]] = {
        "plain": lambda number: plain(plan, base.ref, site, number),
        "dlmatrix": cold,
        "layers cached": lambda number: ours(engine, plan, Cache(folder)),
        PIN: lambda number: ours(engine, one_less(plan), Cache(folder)),
    }
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    try:
        for number in range(options.rounds + 1):
            for way, build in ways.items():
                if way != PIN:
                    clear(engine, env.tag, options.disk)
                measured = measure(lambda b=build, n=number: b(n), options.disk)  # type: ignore[misc]
                print(f"round {number}, {way}: {measured}", file=sys.stderr, flush=True)
                if number:  # the first fills the installers' caches
                    found[way].append(measured)
    finally:
        clear(engine, env.tag, options.disk)
        engine.images.prune_cache(NAME)
        shutil.rmtree(folder, ignore_errors=True)
    medians = {way: middle(rounds) for way, rounds in found.items()}
    result: dict[str, Any] = {"env": env.name, "rounds": found, "median": medians}
    result["ratio"] = {
        way: {key: round(statistics.median(ours / theirs for ours, theirs in pairs(found, way, key)), 2) for key in one}
        for way, one in medians.items()
        if way != "plain"
    }
    result["warm_seconds"] = warm(engine, plan)
    result["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    result["load"] = [round(load, 1) for load in os.getloadavg()]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
