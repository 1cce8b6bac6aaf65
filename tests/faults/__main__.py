"""``python -m tests.faults``: stage every fault, judge it, and write docs/faults.md."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator

import docker

from tests.faults import disks, engine_disk, files, hostile, lack, layers, secret, signals
from tests.faults.judge import Fault, judge
from tests.faults.stage import ROOT, stage

PAGE = ROOT / "docs" / "faults.md"
_HEAD = """\
# Faults

`make faults` stages each of these once, for real, and writes this page; those that stop or kill the Docker engine it
stages only where that is nobody else's: `.venv/bin/python -m tests.faults --own-engine --write`. CI runs a short part
(`--short`). One function judges them all (`tests/faults/judge.py`): the exit code, a message with a next step and no
traceback, nothing finished is lost, nothing is left behind (containers, processes, temporary folders, half-written
files, locks), and the next run passes. Where the code is that of a kill (-9, -15, -1: the process's own, or nox's),
what is left is removed by the next run. All is the project itself but the checks: what stands for them
(`tests/faults/stand_in.py`) passes at once, or does what the fault asks for. A row says what was seen when the
fault was last staged; one that never was has no row.

| engine | fault | exit code | held |
|---|---|---|---|"""
#: What the faults are written in, in the order of the page.
MODULES = (signals, layers, disks, engine_disk, hostile, secret, files, lack)


def main(arguments: list[str]) -> int:
    """Stage and judge; returns 1 where one was not held, 2 where there is none of this name."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("words", nargs="*", help="only faults whose title has these words")
    parser.add_argument(
        "--engine", action="append", choices=["venv", "docker"], help="default: both, where one answers"
    )
    parser.add_argument("--short", action="store_true", help="the short part, for CI")
    parser.add_argument("--own-engine", action="store_true", help="the Docker engine is nobody else's: stop it, too")
    parser.add_argument("--write", action="store_true", help="write the table of docs/faults.md")
    options = parser.parse_args(arguments)
    rows: list[tuple[Fault, float, list[str]]] = []
    for engine in options.engine or _engines():
        chosen = [fault for fault in _faults(engine) if _wanted(fault, options)]
        rows += _staged(engine, chosen) if chosen else []
    bad = [fault for fault, _, wrong in rows if wrong]
    seconds = sum(taken for _, taken, _ in rows)
    print(f"{len(rows)} faults in {seconds:.0f} s, {len(bad)} not held")
    if options.write:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 1 if bad else 0 if rows else 2


def _engines() -> list[str]:
    try:
        client = docker.from_env()
        client.ping()
    except (docker.errors.DockerException, OSError):
        print("no Docker engine answers: only what a virtual environment can show")
        return ["venv"]
    client.close()
    return ["venv", "docker"]


def _faults(engine: str) -> Iterator[Fault]:
    for module in MODULES:
        yield from module.faults(engine)


def _wanted(fault: Fault, options: argparse.Namespace) -> bool:
    named = all(word in fault.title for word in options.words)
    return named and (fault.short or not options.short) and (options.own_engine or not fault.own_engine)


def _staged(engine: str, faults: list[Fault]) -> list[tuple[Fault, float, list[str]]]:
    """Stage faults on one engine; after one that was not held the next gets a stage of its own."""
    rows, left = [], list(faults)
    while left:
        with stage(engine) as here:
            wrong: list[str] = []
            while left and not wrong:
                fault, began = left.pop(0), time.monotonic()
                try:
                    wrong = judge(fault, here, fault.stage(here))
                except Exception as error:  # noqa: BLE001 - one that cannot be staged is not held, and stops no other
                    wrong = [f"{type(error).__name__}: {error}"]
                rows.append((fault, time.monotonic() - began, wrong))
                print(
                    f"{rows[-1][1]:6.1f} s  {engine:<6}  {'not held' if wrong else 'held    '}  {fault.title}",
                    flush=True,
                )
                for line in wrong:
                    print(f"          {line}", flush=True)
    return rows


def page(rows: list[tuple[Fault, float, list[str]]]) -> str:
    """The page with these rows; those of faults that were not staged this time stay as they are."""
    held = {_line(fault, ""): not wrong for fault, _, wrong in rows}
    before = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.is_file() else []
    lines = [_HEAD]
    for fault in (fault for engine in ("venv", "docker") for fault in _faults(engine)):
        known = [line for line in before if line in (_line(fault, "yes"), _line(fault, "no"))]
        mine = _line(fault, "")
        lines += [_line(fault, "yes" if held[mine] else "no")] if mine in held else known
    return "\n".join(lines) + "\n"


def _line(fault: Fault, held: str) -> str:
    codes = " or ".join(map(str, fault.codes))
    return f"| {fault.engine} | {fault.title} | {codes} | {held} |"


if __name__ == "__main__":
    os.environ.pop("DLMATRIX_STRICT", None)
    sys.exit(main(sys.argv[1:]))
