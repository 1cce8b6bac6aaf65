"""A cluster: one job for each node, never one for several, since a node that dies must end no other's checks.

A node's files are on the shared file system, in ``runs/RUN/NODE``. They are the record; Slurm is asked for what they
cannot tell: why a job does not begin, and that a node died.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
import shutil
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dlmatrix.errors import DiskFullError
from dlmatrix.fleet.home import END, count, incoming, read_end, settle
from dlmatrix.fleet.order import Order, Part
from dlmatrix.fleet.row import Row, folder_name
from dlmatrix.fleet.slurm.programs import Job, Node, cancel, jobs_named, nodes_of, submit, update
from dlmatrix.fleet.states import RUNNING, WAITING
from dlmatrix.system.files import replace as write_whole
from dlmatrix.system.files import told_by
from dlmatrix.system.markdown import one_line

_MACHINE = Path(__file__).parents[1] / "machine"
#: Seconds between two questions to Slurm, whose controller many ask; and those that a look waits.
_EVERY, _MOMENT = 2.0, 0.25
#: Seconds beyond the limit of the checks that Slurm gives their job: it is to end by itself, and say how.
_MORE = 60
_QUEUED = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_GOING = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
#: The leader of the notes that are ours, on nodes that we drain; no other note is touched.
LEADER = "dlmatrix: "


class Cluster:
    """The nodes of a cluster, as a carrier."""

    def __init__(
        self, run: Path, shared: Path, order: Order, *, gpus: bool, options: Sequence[str] = (), drain: bool = False
    ) -> None:
        self._run, self._shared, self._order = run, shared.absolute(), order
        self._gpus, self._options, self._drain = gpus, tuple(options), drain
        self._rows: dict[str, Row] = {}
        #: nodes that were answered for when their jobs were submitted
        self._refused: dict[str, Row] = {}
        self._asked = -math.inf

    def submit(self, rows: Sequence[Row], *, again: bool) -> None:
        """Begin with these nodes: see the protocol."""
        self._rows, self._refused = {row.name: row for row in rows}, {}
        self._asked = -math.inf
        self._make_ready()
        jobs, nodes = self._jobs(), nodes_of(list(self._rows))
        for row in rows:
            job = jobs.get(self._job(row.name))
            started, whole = self._told(row.name, "started.json"), bool(self._whole(row.name))
            known = _number(started) <= (row.seen if again else 0)
            under_way = job is not None and job.state in (*_QUEUED, *_GOING)
            if not under_way and (not started or (again and not whole) or (whole and known)):
                refused = self._begin(row, nodes.get(row.name), _number(started) + 1)
                if refused:
                    self._rows[row.name] = self._refused[row.name] = row.at(
                        "unavailable", "job-refused" if row.name in nodes else "", said=refused
                    )

    def look(self) -> Mapping[str, Row]:
        """What has changed; waits for a moment."""
        changed, self._refused = self._refused, {}
        if changed:
            return changed
        time.sleep(_MOMENT)
        now = time.monotonic()
        if now - self._asked < _EVERY:
            return {}
        self._asked = now
        moving = [row for row in self._rows.values() if row.meaning.moving]
        jobs, nodes = self._jobs(), nodes_of([row.name for row in moving])
        for row in moving:
            found = self._looked(row, jobs.get(self._job(row.name)), nodes.get(row.name))
            if found != row:
                self._rows[row.name] = changed[row.name] = found
                self._told_to_slurm(found, nodes.get(row.name))
        return changed

    def over(self) -> bool:
        """Whether every node has an answer."""
        return not self._refused and not any(row.meaning.moving for row in self._rows.values())

    def stop(self, rows: Sequence[Row]) -> Mapping[str, Row]:
        """End the jobs of these nodes; what had ended before is collected."""
        self._rows = {row.name: row for row in rows}
        jobs = self._jobs()
        cancel(jobs.values())
        found = {}
        for row in rows:
            ended = self._whole(row.name)
            stopped = row.at("lost" if self._told(row.name, "started.json") else WAITING, said="ended by --stop")
            found[row.name] = self._home(row, ended) if ended and _number(ended) > row.seen else stopped
        return found

    def leave(self) -> None:
        """Nothing runs here; the jobs go on, and going on with the run finds them."""

    def _looked(self, row: Row, job: Job | None, node: Node | None) -> Row:
        """How a node stands, from its files first, then from Slurm."""
        started, ended = self._told(row.name, "started.json"), self._whole(row.name)
        attempt = _number(started)
        if ended and attempt > row.seen:
            return self._home(row, ended)
        if job and job.state in _QUEUED:
            if node is None or node.closed or job.shut_out:
                cancel([job])  # nothing is to begin there days later, unasked
                return row.at("unavailable", said=node.said if node and node.closed else job.reason)
            if job.never:
                cancel([job])
                return row.at("unavailable", "job-refused", said=f"Slurm: {job.reason}")
            return replace(row.at(WAITING), step=f"in Slurm's queue: {job.reason}")
        if job and job.state in _GOING:
            return replace(row.at(RUNNING), step=_last_line(self._folder(row.name) / "log"), attempts=attempt)
        said = f"Slurm: {job.state}: {job.reason}" if job else "Slurm does not know its job any more"
        if job and job.state in ("TIMEOUT", "DEADLINE"):
            return row.at("hung", said=said, attempts=attempt)
        if attempt <= row.seen:
            # Its job was never begun there, or wrote nothing at all.
            closed = node is None or node.closed or node.silent
            return (
                row.at("unavailable", said=node.said if node else said)
                if closed
                else row.at("error", "no-result", said=said)
            )
        if job and job.state in ("FAILED", "COMPLETED", "OUT_OF_MEMORY"):
            return row.at("error", "no-result", said=said, attempts=attempt, seen=attempt)
        return row.at("lost", said=said, attempts=attempt)

    def _home(self, row: Row, ended: Mapping[str, object]) -> Row:
        """Bring what a node wrote home, and judge it."""
        arrived = incoming(self._run, row.name)
        shutil.rmtree(arrived, ignore_errors=True)
        files = ended.get("files")
        try:
            arrived.mkdir(parents=True)
            for name in files if isinstance(files, dict) else ():
                source = self._folder(row.name) / name
                if source.parent == self._folder(row.name) and source.is_file():
                    shutil.copyfile(source, arrived / name)
        except OSError as error:
            return row.at("not-home", "disk-full-here", said=f"{error.filename}: {error.strerror}")
        return settle(self._run, row, ended)

    def _told_to_slurm(self, row: Row, node: Node | None) -> None:
        """The one-line verdict that the cluster's own health check reads; and, where that was asked for, a note."""
        if row.meaning.moving or (row.figures is None and row.state != "hung"):
            return
        envs = one_line(",".join(str(env["name"]) for env in (row.figures or {}).get("envs", ()))) or "-"
        when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        folder = self._shared / "verdicts"
        folder.mkdir(exist_ok=True)
        write_whole(folder / folder_name(row.name), f"{row.state} {when} {envs} {one_line(row.reason)}".rstrip() + "\n")
        if not self._drain or node is None:
            return
        if row.state in ("failed", "hung") and not (node.reason or node.closed):
            update(row.name, "drain", LEADER + one_line(row.words)[:100])
        elif row.state == "passed" and node.reason.startswith(LEADER):
            update(row.name, "resume")

    def _begin(self, row: Row, node: Node | None, attempt: int) -> str:
        """Submit a node's job; empty, or why there is none."""
        if node is None:
            return "Slurm knows no such node"
        folder = self._folder(row.name)
        folder.mkdir(parents=True, exist_ok=True)
        order = {"base": str(self._shared), "limit": self._order.limit, "attempt": attempt, **self._own_code()}
        packed = base64.b64encode(json.dumps(order).encode()).decode()
        words = [f"--nodelist={row.name}", "--nodes=1", "--exclusive", "--no-requeue"]
        words += [f"--job-name={self._job(row.name)}", f"--time={math.ceil((self._order.limit + _MORE) / 60)}"]
        words += [f"--chdir={folder}", f"--output={folder / 'slurm.log'}"]
        words += [f"--gres={node.gpus}"] if self._gpus and node.gpus else []
        return submit([*words, *self._options, str(folder.parent / "job.py"), str(folder), packed])

    def _own_code(self) -> dict[str, object]:
        """The command with a copy of the code for the node alone: what is made beside it is no other node's."""
        code = next((f"{{base}}/parts/{part.key}" for part in self._order.parts if part.what == "code"), "")
        words = [word.replace(code, "{folder}/code") if code else word for word in self._order.command]
        return {"command": words, "code": code}

    def _make_ready(self) -> None:
        """What all nodes need, once, on the shared file system."""
        above = self._folder("x").parent
        try:
            above.mkdir(parents=True, exist_ok=True)
            for name in ("job.py", "supervisor.py"):
                write_whole(above / name, (_MACHINE / name).read_bytes())
            for part in self._order.parts:
                _unpack(part, self._shared / "parts" / part.key)
        except OSError as error:
            what = f"{error.filename or self._shared}: {error.strerror}"
            raise DiskFullError(what, "name a folder that every node sees and you may write: --shared DIR") from None

    def _jobs(self) -> Mapping[str, Job]:
        return jobs_named([self._job(name) for name in self._rows]) if self._rows else {}

    def _job(self, node: str) -> str:
        return f"dlmatrix-{self._run.name}-{node}"

    def _folder(self, node: str) -> Path:
        return self._shared / "runs" / self._run.name / folder_name(node)

    def _told(self, node: str, file: str) -> dict[str, object]:
        return read_end(told_by(self._folder(node) / file))

    def _whole(self, node: str) -> dict[str, object]:
        """How the checks of the last attempt ended; nothing where they have not, or were ended: Slurm says why."""
        ended = self._told(node, END)
        last = ended.get("attempt") == self._told(node, "started.json").get("attempt")
        return ended if last and not ended.get("stopped") else {}


def _unpack(part: Part, there: Path) -> None:
    if there.is_dir():
        return
    aside = there.with_name(f"{there.name}.{time.time_ns()}")
    try:
        with tarfile.open(part.file) as archive:
            archive.extractall(aside)  # noqa: S202 - our own tar
        if not there.is_dir():
            aside.rename(there)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _number(found: Mapping[str, object]) -> int:
    """The attempt that a record tells of; 0 where it tells of none."""
    return count(found.get("attempt"), 0)


def _last_line(log: Path) -> str:
    lines = [line for line in told_by(log).splitlines() if line.strip()]
    return one_line(lines[-1])[:300] if lines else "checking"
