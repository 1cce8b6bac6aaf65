"""The one judge of all faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.document.result import read_result
from dlmatrix.errors import DlmatrixError
from tests.faults.stage import FIRST, Run, Stage

#: A password that some faults put into an address: nothing may show it.
SECRET = "hunter2-s3cret"  # noqa: S105 - made up
#: What a run ends with that nobody has to do anything about, or that said no word before it ended.
_NO_STEP = {0, 130}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault: how it is staged, and what must come of it."""

    title: str
    stage: Callable[[Stage], Run]
    engine: str
    #: the exit codes that are right
    codes: tuple[int, ...]
    #: words of the message
    says: str = ""
    #: envs whose checks' document must be in the report
    keeps: tuple[str, ...] = ()
    #: a killed run leaves what the next one removes; every other leaves nothing
    killed: bool = False
    #: in the short part
    short: bool = False
    #: stops the engine: one of its own is needed
    own_engine: bool = False


def judge(fault: Fault, stage: Stage, run: Run) -> list[str]:
    """What is wrong with how a fault ended; then with what it left, and with the next run."""
    wrong = [*_message(fault, run), *_kept(fault, run)]
    if not fault.killed:
        wrong += [f"left: {what}" for what in stage.left()]
    again = stage.run("run", FIRST)
    if again.code != 0:
        wrong.append(f"the next run ended with {again.code}: {again.text[-600:]}")
    elif [env["outcome"] for env in _envs(again.report)] != ["passed"]:
        wrong.append("the next run's report is not whole")
    wrong += [f"left after the next run: {what}" for what in stage.left()]
    return wrong


def _message(fault: Fault, run: Run) -> list[str]:
    wrong = []
    if run.code not in fault.codes:
        wrong.append(f"exit code {run.code}, and not {' or '.join(map(str, fault.codes))}: {run.text[-600:]}")
    if "Traceback" in run.text:
        wrong.append(f"a traceback: {run.text[-1500:]}")
    if not re.search(fault.says, run.text):
        wrong.append(f"does not say {fault.says!r}: {run.text[-600:]}")
    judged = any(env["outcome"] == "failed" for env in _envs(run.report))  # a verdict, and no error
    if not (fault.killed or judged or run.code in _NO_STEP or "next: " in run.text):
        wrong.append("no next step")
    if found := [sign for sign in run.text if not (sign.isprintable() or sign in "\n\t")]:
        wrong.append(f"control characters on the terminal: {found[:5]!r}")
    if SECRET in run.text or any(SECRET.encode() in file.read_bytes() for file in _files(run.report)):
        wrong.append("a password is shown")
    return wrong


def _kept(fault: Fault, run: Run) -> list[str]:
    wrong = []
    if run.report.exists() and any(run.report.iterdir()):
        try:
            read_result(run.report)
        except DlmatrixError as error:
            wrong.append(f"its result cannot be read: {error}")
    there = {env["name"]: env for env in _envs(run.report)}
    for name in fault.keeps:
        if not (there.get(name, {}).get("document") or {}).get("checks"):
            wrong.append(f"lost: what came out of {name}")
    return wrong


def _envs(report: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads((report / "result.json").read_text())["envs"])
    except (OSError, ValueError, KeyError):
        return []


def _files(report: Path) -> list[Path]:
    return [file for file in report.rglob("*") if file.is_file()] if report.is_dir() else []
