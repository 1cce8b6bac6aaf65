"""The suite: the healthy machine, each fault, the checks with the default throughput, a container where one is."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.system.process import Finished, run_lines
from tests.gpu.faults import Fault, Row, expectation, judge, said
from tests.gpu.machine import Choice, Machine, plan
from tests.gpu.stage import NOT_STAGED, NotStagedError, Staging
from tests.gpu.transcript import Transcript

_HERE = Path(__file__).parent
#: Seconds: longer than the doctor's own limits, and than a run's with its throughput.
_DOCTOR, _RUN = 330.0, 1200.0
_HOLDER = 60.0


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where the suite runs and what it is run with."""

    root: Path
    python: Path
    out: Path
    #: an empty folder that other users may enter, removed at the end
    scratch: Path
    transcript: Transcript

    def doctor(
        self, *options: str, staging: Staging | None = None, variables: Mapping[str, str] | None = None
    ) -> tuple[Finished, dict[str, Any] | None]:
        """The doctor's answer, its document None where it wrote none."""
        command = [sys.executable, "-m", "dlmatrix", "doctor", "--json", *options]
        if staging is not None:
            command = [sys.executable, str(_HERE / "stage.py"), staging.dumps(), *command]
        path = os.pathsep.join(filter(None, [str(self.root), os.environ.get("PYTHONPATH")]))
        environ = dict(os.environ) | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **(variables or {})}
        if staging is not None and staging.user:
            environ |= {"HOME": str(self.scratch), "USER": "nobody", "LOGNAME": "nobody"}
        done = run_lines(command, say=self.transcript.note, environ=environ, cwd=self.root, timeout_seconds=_DOCTOR)
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return done, None
        return done, document if isinstance(document, dict) else None

    def on_host(self, env: str) -> list[str]:
        """The doctor's options for this machine's own interpreter; with an env its framework is asked."""
        return [*([env] if env else []), "--engine", "host", "--python", str(self.python)]

    def fault(self, fault: Fault, machine: Machine, choice: Choice, known: Mapping[bool, frozenset[str]]) -> Row:
        """Stage one fault and hold the doctor's answer against it.

        `known` are the labels of the healthy machine with (True) and without the framework, where it was usable so.
        """
        started = time.monotonic()
        env = choice.env.name if fault.framework and choice.env else ""
        try:
            if fault.framework and not choice.env:
                raise NotStagedError(choice.why)
            if fault.framework == "torch" and choice.env and choice.env.framework != "torch":
                raise NotStagedError("seen with PyTorch alone, which is not what is installed")
            if bool(env) not in known:
                raise NotStagedError("the framework cannot use the GPU without a fault either")
            staging, variables = plan(fault, machine, self.scratch)
            with _holding(fault.held):
                done, document = self.doctor(*self.on_host(env), staging=staging, variables=variables)
            if done.exit_code == NOT_STAGED:
                raise NotStagedError(done.said.rpartition("not staged: ")[2])
        except NotStagedError as error:
            return _row(fault, "skipped", "", started, str(error))
        if document is None:
            return _row(fault, "failed", "no document", started, "the doctor wrote none: see the transcript")
        self.transcript.document(fault.name, document)
        outcome, found = judge(fault, document, known[bool(env)])
        return _row(fault, outcome, found, started)

    def healthy(self, env: str) -> tuple[dict[str, Any] | None, Row]:
        """The doctor's answer without any fault, with the framework where an env is named."""
        started = time.monotonic()
        _, document = self.doctor(*self.on_host(env))
        name, what = ("healthy-framework", "nothing, with the framework") if env else ("healthy", "nothing")
        fault = Fault(name=name, what=what, verdict="usable")
        if document is None:
            return None, _row(fault, "failed", "no document", started, "the doctor wrote none: see the transcript")
        self.transcript.document(name, document)
        found = said(document["verdict"], *([c["label"] for c in document[kind]] for kind in ("causes", "warnings")))
        # Warnings are the machine's own, and no fault of the suite's.
        outcome = {"usable": "passed", "no-gpu": "skipped"}.get(document["verdict"], "failed")
        return document, _row(fault, outcome, found, started)

    def checks(self, choice: Choice) -> Row:
        """Every check and the default throughput, with the framework that is installed."""
        fault = Fault(name="checks", what="run --engine host --require-gpu, throughput with its default", verdict="")
        if choice.env is None or not choice.exact:
            return _row(fault, "skipped", "", time.monotonic(), choice.why)
        options = ["--engine", "host", "--python", str(self.python), "--require-gpu"]
        return self._run(fault, [choice.env.name, *options, "--report", str(self.out / "report")])

    def container(self, choice: Choice) -> Row:
        """The doctor's look into a container with a GPU, and the checks in it, where an image has been built."""
        fault = Fault(name="container", what="run --engine docker --require-gpu --throughput 0", verdict="")
        started = time.monotonic()
        options = [choice.env.name] if choice.env else []
        _, document = self.doctor(*options, "--engine", "docker")
        launch = (document or {}).get("launch")
        if document is None or launch is None or choice.env is None:
            self.transcript.note((document or {}).get("unreached", ""))
            return _row(fault, "skipped", "", started, "no engine answers, or the image is not built")
        self.transcript.document(fault.name, document)
        found = said(document["verdict"], [cause["label"] for cause in document["causes"]], ())
        if launch["error"]:
            return _row(fault, "skipped", "", started, f"the engine starts no container with a GPU: {found}")
        if document["verdict"] != "usable":
            return _row(fault, "failed", found, started)
        options += ["--engine", "docker", "--require-gpu", "--throughput", "0"]
        return self._run(fault, [*options, "--report", str(self.out / "container")])

    def _run(self, fault: Fault, arguments: Sequence[str]) -> Row:
        started = time.monotonic()
        command = [sys.executable, "-m", "dlmatrix", "run", "--json", *arguments]
        done = run_lines(command, say=self.transcript.say, environ=os.environ, cwd=self.root, timeout_seconds=_RUN)
        outcome = "passed" if done.exit_code == 0 else "failed"
        ended = "did not end in time" if done.timed_out else f"exit code {done.exit_code}"
        return _row(fault, outcome, ended, started, _reason(done.stdout) if outcome == "failed" else "")


def _reason(stdout: bytes) -> str:
    """Why a run did not pass, by its result.json: the checks that failed."""
    try:
        envs = json.loads(stdout)["envs"]
    except (ValueError, KeyError, TypeError):
        return "no result: see the transcript"
    checks = [check for env in envs for check in (env.get("document") or {}).get("checks", ())]
    failed = [check["id"] for check in checks if check["outcome"] in ("failed", "error")]
    return f"failed: {', '.join(failed)}" if failed else "; ".join(filter(None, (env.get("reason") for env in envs)))


def _row(fault: Fault, outcome: str, found: str, started: float, reason: str = "") -> Row:
    return Row(
        name=fault.name,
        what=fault.what,
        expected=expectation(fault) if fault.verdict else "exit code 0",
        found=found,
        outcome=outcome,
        reason=reason,
        seconds=round(time.monotonic() - started, 1),
    )


@contextlib.contextmanager
def _holding(leave: int) -> Iterator[None]:
    """Another process has all but `leave` bytes of each GPU's memory while the block runs; 0 for nobody."""
    if not leave:
        yield
        return
    command = [sys.executable, str(_HERE / "hold.py"), str(leave)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            if not _holds(holder):
                raise NotStagedError("the memory could not be taken")
            yield
        finally:
            holder.kill()  # its memory goes back with it


def _holds(holder: subprocess.Popen[bytes]) -> bool:
    with selectors.DefaultSelector() as selector:
        assert holder.stdout is not None
        selector.register(holder.stdout, selectors.EVENT_READ)
        return bool(selector.select(_HOLDER)) and holder.stdout.readline().startswith(b"held")
