"""``python -m smoke --framework torch|tf1|tf2 --json FILE|-``: verify the installation, write one document.

The parent process imports no framework: whatever the framework does to its process,
a document is written.  ``--run-events FD`` is how it starts its child.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from typing import Any, Callable

from smoke import cgroup, document, gpu, settings, supervise
from smoke.throughput import collect, machine, rows

EXPECTED_KEYS: dict[str, type | tuple[type, ...]] = {
    "env": str,
    "series": str,
    "variant": str,
    "distribution": str,
    "version": str,
    "cuda": (str, type(None)),
    "gpu": bool,
    "hermetic": bool,
}
#: A whole run of a cell whose image is there is to end within three minutes on two processors; the rest takes 25 s.
THROUGHPUT_SECONDS = 120.0
PROCESSES = 10


def expectations(text: str) -> dict[str, Any]:
    """The value of ``--expect``, or ArgumentTypeError naming the key that is not understood."""
    try:
        expect = json.loads(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"not JSON: {problem}") from problem
    if not isinstance(expect, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    for key, value in expect.items():
        if key not in EXPECTED_KEYS:
            known = ", ".join(sorted(EXPECTED_KEYS))
            raise argparse.ArgumentTypeError(f"unknown key {key!r}; known: {known}")
        if not isinstance(value, EXPECTED_KEYS[key]):
            raise argparse.ArgumentTypeError(f"key {key!r} has the wrong type: {value!r}")
    if expect.get("variant", "cpu") not in ("cpu", "gpu"):
        raise argparse.ArgumentTypeError("key 'variant' is neither 'cpu' nor 'gpu'")
    return expect


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """An argparse type: a number of this kind above zero."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
        return value

    return parse


def seconds(text: str) -> float:
    """An argparse type: seconds, from zero on."""
    return 0.0 if text == "0" else positive(float)(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    this = argparse.ArgumentParser(prog="python -m smoke", description=__doc__.split("\n")[0])
    this.add_argument("--framework", required=True, choices=("torch", "tf1", "tf2"))
    this.add_argument("--json", required=True, metavar="FILE", help="where the document goes; - is stdout")
    this.add_argument("--expect", type=expectations, default={}, metavar="JSON")
    this.add_argument("--timeout", type=positive(float), default=300.0, metavar="SECONDS")
    this.add_argument("--threads", type=positive(int), default=None, metavar="N")
    this.add_argument(
        "--throughput",
        type=seconds,
        default=THROUGHPUT_SECONDS,
        metavar="SECONDS",
        help="budget of the measuring; 0 measures nothing (default: %(default)g)",
    )
    this.add_argument("--rows", type=lambda text: text.split(","), default=[], metavar="ID,ID", help="measure these")
    this.add_argument(
        "--processes", type=positive(int), default=PROCESSES, metavar="N", help="for each row (default: %(default)d)"
    )
    part = this.add_mutually_exclusive_group()
    part.add_argument("--only", choices=("throughput",), default=None, help="leave out every other check")
    part.add_argument("--later", action="store_true", help="leave measuring to a run of its own, with --only")
    this.add_argument("--run-events", type=int, default=None, help=argparse.SUPPRESS)
    return this


def main(arguments: list[str] | None = None) -> int:
    """Run, write the document, return the exit code (0, 1, 2 usage, 13 hang, 14 killed)."""
    this = parser()
    options = this.parse_args(arguments)
    try:
        named = [rows.parse(name, options.framework).id for name in options.rows]
    except ValueError as problem:
        this.error(f"--rows: {problem}")
    threads, load = options.threads or cgroup.cpus(), machine.load()
    if options.run_events is not None:
        from smoke import child

        child.run(options.framework, options.expect, threads, options.run_events)
        return 0
    try:
        folder = tempfile.mkdtemp(prefix="smoke-")
    except OSError as problem:
        print(f"smoke: no temporary folder: {problem}; make room, or name one: TMPDIR=DIR", file=sys.stderr)
        return 2
    # The children's, for what they leave behind: TensorFlow a file for each tf.function, PyTorch what it compiled.
    os.environ["TMPDIR"] = folder
    try:
        home = os.path.join(folder, "home")
        os.mkdir(home)
        settings.take_away(os.environ, home)
        return verdict(options, named, threads, load)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verdict(options: argparse.Namespace, named: list[str], threads: int, load: float) -> int:
    """Check, measure and write the document; the exit code."""
    outcome = done() if options.only else checks(options, threads)
    job = collect.Job(options.framework, threads, options.throughput, options.processes, named)
    measured = measure(job, outcome, load, options.later)
    found = document.assemble(
        options.framework, options.expect, threads, options.timeout, outcome, measured=measured, only=options.only
    )
    document.finish(found, supervise.progress)
    try:
        write(options.json, json.dumps(found, allow_nan=False, indent=1))
    except OSError as problem:
        print(f"smoke: cannot write {options.json}: {problem}", file=sys.stderr)
        return 2
    return document.exit_code(found, outcome, measured)


def done() -> supervise.Outcome:
    """The outcome of no checks at all."""
    outcome = supervise.Outcome()
    outcome.ended = "done"
    return outcome


def checks(options: argparse.Namespace, threads: int) -> supervise.Outcome:
    """Run every check in a child; its Outcome."""
    command = [sys.executable, "-m", "smoke", "--framework", options.framework, "--json", "-"]
    command += ["--expect", json.dumps(options.expect), "--threads", str(threads), "--run-events"]
    # What measuring tells malloc spares the training of a check its page faults too.
    return supervise.supervise(command, options.timeout, collect.environment(threads), supervise.progress)


def measure(job: collect.Job, outcome: supervise.Outcome, load: float, later: bool) -> collect.Measured | str | bool:
    """The throughput, or a sentence why there is none to measure; True where that is only left for later."""
    if job.budget == 0:
        return "not asked for: --throughput 0"
    if outcome.ended != "done":
        return "the checks before it did not come to their end"
    ended = {event["check"]["id"]: event["check"] for event in outcome.events if event["event"] == "end"}
    if "imports" in ended and ended["imports"]["outcome"] != "passed":
        return "the framework cannot be used, see the check imports"
    full = [check["reason"] for check in ended.values() if check["data"].get("no_room")]
    if full:
        return full[0]
    if later:
        return True
    found = [event["detection"] for event in outcome.events if "detection" in event]
    job.gpus = [entry["index"] for facts in found for entry in gpu.ours(facts)] or None
    return collect.Collector(job, supervise.progress, load).run()


def write(target: str, text: str) -> None:
    """Write the document whole or not at all; ``-`` is the real stdout."""
    if target == "-":
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        return
    partial = f"{target}.{os.getpid()}.part"
    try:
        with open(partial, "w") as stream:
            stream.write(text + "\n")
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


if __name__ == "__main__":
    sys.exit(main())
