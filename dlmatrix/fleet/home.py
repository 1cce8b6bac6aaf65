"""What came home from a machine: looked at aside, held against what was written there, and only then a result."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlmatrix.document.result import FILE, read_result
from dlmatrix.errors import EXIT_SKIPPED, ReportError, UsageError
from dlmatrix.fleet.figures import figures
from dlmatrix.fleet.row import Row, folder_name
from dlmatrix.fleet.smoked import DOCUMENT, check_document, write_result
from dlmatrix.fleet.states import cause_of, cause_of_code
from dlmatrix.system.files import sha256, told_by

HOSTS, INCOMING = "hosts", "incoming"
#: Written by the supervisor of the machine, the last of all: how the checks ended, and the sums of what they wrote.
END = "ended.json"
LOG = "log"
#: What comes home from a machine: dlmatrix/fleet/machine/supervisor.py.
NAMES = {"result.json", "report.html", "document.json", LOG}
#: Bytes that one of them may have.
_LARGEST = 200_000_000
#: More attempts, or seconds, than any machine has; and the largest exit code.
_MOST, _BYTE = 1 << 31, 255
#: Bytes of a log's end in which the reason is looked for.
_TAIL = 20_000


def incoming(run: Path, machine: str) -> Path:
    """Where files of a machine arrive; nothing there is believed."""
    return run / INCOMING / folder_name(machine)


def arrive(run: Path, machine: str, files: Mapping[str, Any]) -> None:
    """Put files that a supervisor packed where files arrive; what is none, or grows without end, is left out."""
    folder = incoming(run, machine)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in NAMES & files.keys():
        with contextlib.suppress(ValueError, TypeError, zlib.error):
            unpacked = zlib.decompressobj()
            data = unpacked.decompress(base64.b64decode(files[name]), _LARGEST)
            if not unpacked.unconsumed_tail:
                (folder / name).write_bytes(data)


def settle(run: Path, row: Row, ended: Mapping[str, Any]) -> Row:
    """A machine whose checks ended, from what arrived of it; what is whole becomes ``hosts/NAME``.

    ``ended`` is how its supervisor, or Slurm, says that they ended: exit_code, timed_out, seconds, attempt, files (by
    name: sha256). What arrived torn stays aside, and leaves what was there before as it was.
    """
    arrived = incoming(run, row.name)
    attempt = count(ended.get("attempt"), row.attempts)
    row = replace(row, seconds=_number(ended.get("seconds")), attempts=attempt)
    files = ended.get("files") or {}
    if torn := next(_torn(arrived, files if isinstance(files, dict) else {"what it wrote": files}), ""):
        return row.at("not-home", "torn", said=torn)
    row = replace(row, seen=attempt)
    try:
        found = _judged(arrived, row, ended)
    except (ReportError, UsageError) as error:
        found = row.at("error", "no-result", said=error.message)
    place = run / HOSTS / folder_name(row.name)
    place.parent.mkdir(exist_ok=True)
    if arrived.is_dir():
        shutil.rmtree(place, ignore_errors=True)
        arrived.rename(place)
    return found


def _judged(arrived: Path, row: Row, ended: Mapping[str, Any]) -> Row:
    code = _exit_code(ended.get("exit_code"))
    if ended.get("timed_out"):
        return row.at("hung", step="ended")
    if (arrived / DOCUMENT).is_file():
        write_result(arrived, row, code)
    if not (arrived / FILE).is_file():
        return _without_result(arrived, row, code)
    result = read_result(arrived).data
    for env in result["envs"]:
        if env["document"] is not None:
            check_document(env["document"], FILE)
    outcomes = {env["outcome"] for env in result["envs"]}
    told = replace(row, figures=figures(result), step="ended")
    reason = "; ".join(f"{env['name']}: {env['reason']}" for env in result["envs"] if env["outcome"] != "passed")
    if not outcomes:
        return told.at("error", "no-result", said="its result names no env")
    if "failed" in outcomes:
        return told.at("failed", said=reason, code=_code(code))
    if "error" in outcomes:
        # What befell the run tells nothing of the machine's fitness, and may be mended.
        befell = cause_of_code(code) if code is not None else None
        return (
            told.at(befell.state, befell.id, said=reason) if befell else told.at("error", said=reason, code=_code(code))
        )
    if code not in (0, EXIT_SKIPPED):
        return told.at("error", said=f"every env of its result passed, and its run ended with {code}", code=_code(code))
    return told.at("skipped" if "skipped" in outcomes else "passed", said=reason)


def _without_result(arrived: Path, row: Row, code: int | None) -> Row:
    last = told_by(arrived / LOG)[-_TAIL:]
    lines = [line for line in last.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith(("dlmatrix: ", "smoke: "))), "".join(lines[-1:]))
    cause = (cause_of_code(code) if code is not None else None) or cause_of(last, "unfit")
    if cause:
        return row.at(cause.state, cause.id, said=said)
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return row.at("error", "no-result", said=f"{how}: {said}" if said else how)


def _torn(arrived: Path, files: Mapping[str, Any]) -> Iterator[str]:
    """What is missing, or is not what was written there."""
    for name, wanted in files.items():
        place = arrived / name
        if place.parent != arrived or not os.path.isfile(place):  # a name may be too long for any file
            yield f"{name} did not arrive"
        elif sha256(place) != wanted:
            yield f"{name} is not what was written there"


def read_end(text: str) -> dict[str, Any]:
    """What a supervisor wrote; empty where it is nothing that one writes."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def count(value: Any, otherwise: int) -> int:
    """A number of attempts that a machine tells; ``otherwise`` where it is none."""
    return value if type(value) is int and 0 <= value <= _MOST else otherwise


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value <= _MOST else None


def _exit_code(value: Any) -> int | None:
    """How a process ended: its exit code, or the signal that killed it, negated; None where it is neither."""
    return value if type(value) is int and -_BYTE <= value <= _BYTE else None


def _code(value: int | None) -> int:
    """The exit code of a run that went wrong: 1 where it says none."""
    return value if value is not None and value > 0 else 1
