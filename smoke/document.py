"""Assemble the document from what the child told, judge the log, and say how it went."""

from __future__ import annotations

import json
import os
import platform
import signal
from typing import TYPE_CHECKING, Any, Callable

from smoke import SCHEMA_VERSION, catalog, child, supervise, validate
from smoke.context import Context, Result
from smoke.detect import wheels

if TYPE_CHECKING:
    from smoke.throughput.collect import Measured

SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.json")

EXIT_FAILED, EXIT_HANG, EXIT_KILLED = 1, 13, 14


def assemble(
    framework: str,
    expect: dict[str, Any],
    threads: int,
    timeout: float,
    outcome: supervise.Outcome,
    *,
    measured: Measured | str | bool | None = None,
    only: str | None = None,
) -> dict[str, Any]:
    """The document of a child's Outcome; a child that did not come to its end is an error of the check it was in.

    ``measured`` is what smoke/throughput found, why there is nothing, or True where that comes later; ``only`` leaves
    one check of those that the parent runs.
    """
    log = outcome.log + getattr(measured, "log", [])
    seconds = getattr(measured, "seconds", 0.0)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "framework": framework,
        "expect": expect,
        "python": platform.python_version(),
        "threads": threads,
        "versions": {},
        "checks": [],
        "training": None,
        "throughput": getattr(measured, "document", None),
        "parity": None,
        "detection": None,
        "log": {"lines": len(log), "tail": log[-supervise.TAIL :]},
        "seconds": round(outcome.seconds + seconds, 3),
    }
    planned, ended, running = [], {}, None
    for event in outcome.events:
        if event["event"] == "plan":
            planned = event["checks"]
        elif event["event"] == "start":
            running = event["id"]
        elif event["event"] == "end":
            ended[event["check"]["id"]] = event["check"]
            running = None
        elif event["event"] == "record":
            for key, value in event.items():
                if key != "event":
                    document[key] = value
    document["checks"] = [ended.get(check["id"], check) for check in planned]
    after = [check for check in catalog.applying(framework, expect) if check.after and only in (None, check.id)]
    if outcome.ended != "done":
        document["checks"] += [check.described() for check in after]
        _interrupted(document["checks"], running, outcome, timeout)
    else:
        context = Context(framework, expect, threads, None, lambda key, value: None)
        context.log, context.throughput, context.detection = outcome.log, measured, document["detection"]
        document["checks"] += [child.plain(child.one(check, context)) for check in after]
        for check in document["checks"]:
            check["seconds"] += round(seconds, 4) if check["id"] == "throughput" else 0.0
        document["versions"] = document["versions"] or context.versions()
    return document


def how(outcome: supervise.Outcome, timeout: float, option: str = "--timeout") -> str:
    """One sentence: how the child ended, and what to do; ``option`` is what gives it more time."""
    last = next((line for line in reversed(outcome.log) if line.strip()), "")
    if outcome.ended == "hang":
        words = "did not finish within {:g} s and was stopped; raise {} if the machine is only slow"
        return words.format(timeout, option)
    if outcome.ended == "killed":
        number = -outcome.returncode
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        if outcome.memory:
            return f"killed by {name}: the memory limit of its control group was reached; allow more memory"
        return f"killed by {name}; last line of its log: {last}"
    return f"ended with exit code {outcome.returncode} before it was through; last line of its log: {last}"


def damage() -> str:
    """The first file of the framework's and NumPy's wheels that is not whole, which kills who imports it; else ""."""
    for entry in wheels.damaged():
        if entry["problem"] != "missing":
            words = "; {file} is {problem}: pip install --force-reinstall --no-deps {distribution}=={version}"
            return words.format(**entry)
    return ""


def _interrupted(checks: list[dict[str, Any]], running: str | None, outcome: supervise.Outcome, timeout: float) -> None:
    reason = how(outcome, timeout)
    for check in checks:
        if check["id"] == running:
            check.update(outcome="error", reason=reason + (damage() if running == "imports" else ""))
            break
    else:
        checks.append(
            {
                "id": "process",
                "kind": "verify",
                "asserts": "the process that runs the checks comes to its end",
                "outcome": "error",
                "reason": reason,
                "expected": None,
                "found": None,
                "seconds": 0.0,
                "data": {},
            }
        )
    for check in checks:
        if check["reason"] == "not reached":
            check["reason"] = "not reached: {} {}".format(running or "the process", reason.split(";")[0])


def finish(document: dict[str, Any], report: Callable[[str], object]) -> None:
    """Hold the document against its schema; what does not fit becomes an error in it."""
    with open(SCHEMA) as stream:
        problems = validate.problems(document, json.load(stream))
    for check in document["checks"]:
        if check["id"] in ("log-clean", "process", "throughput") and not check["data"].get("later"):
            report(supervise.describe(check))
    if problems:
        entry = Result("error", "the document does not fit its schema: " + "; ".join(problems[:5])).as_dict()
        entry.update(id="document", kind="verify", asserts="the document fits its schema", seconds=0.0)
        document["checks"].append(entry)
        report(supervise.describe(entry))


def exit_code(
    document: dict[str, Any], outcome: supervise.Outcome, measured: Measured | str | bool | None = None
) -> int:
    """0 nothing failed, 1 failed or error, 13 hang, 14 killed."""
    for ended in (outcome.ended, getattr(measured, "ended", "done")):
        if ended in ("hang", "killed"):
            return EXIT_HANG if ended == "hang" else EXIT_KILLED
    bad = [check for check in document["checks"] if check["outcome"] in ("failed", "error")]
    return EXIT_FAILED if bad or not document["checks"] else 0
