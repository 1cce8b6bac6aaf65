"""The suite's command line: ``python -m tests.gpu``."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.errors import DlmatrixError, UsageError
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.matrix.load import load_matrix
from dlmatrix.system.checkout import find_root
from dlmatrix.system.state import reports_folder
from tests.gpu.course import Course
from tests.gpu.faults import Row, load
from tests.gpu.machine import Choice, Machine, ask, choose
from tests.gpu.transcript import Transcript

EXPECTED, OTHERWISE, USAGE, SKIPPED, INTERRUPTED = 0, 1, 2, 77, 130


def main(arguments: Sequence[str]) -> int:
    """0 where all is as expected, 1 where something is not, 77 where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__, allow_abbrev=False)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has PyTorch or TensorFlow")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: reports/gpu-TIME)")
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="NAME", help="rows of faults.toml, checks, …: *-uvm"
    )
    options = parser.parse_args(arguments)
    python = shutil.which(options.python)
    now = datetime.datetime.now(datetime.timezone.utc)
    root = find_root(Path(__file__).parent)
    out = (options.out or reports_folder(root) / f"gpu-{now:%Y%m%d-%H%M%S}").absolute()
    if python is None or out.exists():
        print(f"{options.python} cannot be run" if python is None else f"{out} is there already", file=sys.stderr)
        return USAGE
    out.mkdir(parents=True)
    with Transcript(out) as transcript, tempfile.TemporaryDirectory(prefix="dlmatrix-gpu-") as scratch:
        Path(scratch).chmod(0o755)
        course = Course(
            root=root, python=Path(python).absolute(), out=out, scratch=Path(scratch), transcript=transcript
        )
        try:
            return run(course, options.only, now)
        except DlmatrixError as error:
            transcript.say(f"{error.message}; {error.next_step}")
            return USAGE if isinstance(error, UsageError) else OTHERWISE
        except KeyboardInterrupt:
            transcript.say("interrupted")
            return INTERRUPTED


def run(course: Course, only: Sequence[str], now: datetime.datetime) -> int:
    """Everything, in order."""
    say, interpreter = course.transcript.say, ask(course.root, course.python)
    choice = choose(load_matrix(course.root), interpreter.distributions)
    document, healthy = course.healthy("")
    course.transcript.row(healthy)
    if document is None or document["verdict"] != "usable":
        return _no_course(course, document, healthy, now)
    rows, known = [healthy], {False: _labels(document)}
    view = View(document["facts"]["host"], place="host")
    say(f"framework: {choice.installed or choice.why}" + (f"; {choice.why}" if choice.installed and choice.why else ""))
    if choice.env is not None:
        document, row = course.healthy(choice.env.name)
        course.transcript.row(row)
        rows.append(row)
        if document is not None and document["verdict"] == "usable":
            view = View(document["facts"]["host"], place="host")
            known[True] = _labels(document)
    machine = Machine(view=view, interpreter=interpreter, environ=os.environ)
    faults = [fault for fault in load() if _wanted(fault.name, only)]
    steps = [lambda fault=fault: course.fault(fault, machine, choice, known) for fault in faults]
    steps += [lambda: course.checks(choice)] if _wanted("checks", only) else []
    steps += [lambda: course.container(choice)] if _wanted("container", only) else []
    try:
        for step in steps:
            rows.append(step())
            course.transcript.row(rows[-1])
    finally:  # what was found until an interrupt counts
        course.transcript.write(rows, _about(view, choice, now))
    counts = {word: sum(row.outcome == word for row in rows) for word in ("passed", "failed", "skipped")}
    print(f"{counts['passed']} as expected, {counts['failed']} not, {counts['skipped']} skipped: {course.out}")
    return OTHERWISE if counts["failed"] else EXPECTED


def _no_course(course: Course, document: dict[str, object] | None, healthy: Row, now: datetime.datetime) -> int:
    """No fault is staged on a machine that is not well; only where there is no GPU is that a skip."""
    if document is not None and document["verdict"] == "no-gpu":
        course.transcript.say(f"skipped: {document['headline']}")
        code = SKIPPED
    else:
        course.transcript.say(f"no fault is staged on a machine that is not well: {(document or {}).get('headline')}")
        code = OTHERWISE
    none = Choice(env=None, exact=False, why="", installed="")
    course.transcript.write([healthy], _about(View({}, place="host"), none, now))
    return code


def _wanted(name: str, only: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in only)


def _labels(document: dict[str, list[dict[str, str]]]) -> frozenset[str]:
    return frozenset(cause["label"] for kind in ("causes", "warnings") for cause in document[kind])


def _about(view: View, choice: Choice, now: datetime.datetime) -> dict[str, object]:
    """What a page may say of the machine: no serial number, no UUID, no host name."""
    return {
        "date": now.date().isoformat(),
        "cards": [row.text("name") for row in view.rows("nvml.devices")],
        "driver": view.text("nvml.driver"),
        "framework": choice.installed,
        "env": choice.env.name if choice.env else "",
        "python": platform.python_version(),
    }
