"""What Slurm's programs are asked, and what they answer, as values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dlmatrix.errors import EngineError, UsageError
from dlmatrix.system.markdown import one_line
from dlmatrix.system.process import Finished, run_lines

#: Seconds in which a program of Slurm answers, or does not at all.
_PATIENCE = 60.0
#: What they say where it is the controller that cannot be reached, and not the question that is wrong.
_AWAY = ("Unable to contact slurm controller", "Connection refused", "Zero Bytes were transmitted", "Socket timed out")
#: What they say where the machine itself belongs to no cluster.
_UNSET = ("Could not establish a configuration source", "fetch_config")
#: A node's state begins with one of these where no job starts on it.
_CLOSED = ("down", "drain", "fail", "error", "inval", "maint", "reboot", "unknown")


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node as ``sinfo`` tells of it."""

    #: extended: idle, mixed, down*, drained, ...
    state: str
    #: as --gres takes them: gpu:h100:8; empty where it has none
    gpus: str
    #: why an operator, or Slurm, closed it; empty where nobody did
    reason: str

    @property
    def closed(self) -> bool:
        """Whether no job starts on it, until somebody, or Slurm, opens it again."""
        return self.state.startswith(_CLOSED)

    @property
    def silent(self) -> bool:
        """Whether it does not answer now (``idle*``): for a moment, or until Slurm closes it after SlurmdTimeout."""
        return self.state.endswith("*")

    @property
    def said(self) -> str:
        """Its state, and the reason of it."""
        return f"{self.state}: {self.reason}" if self.reason else self.state


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as ``squeue`` tells of it."""

    id: str
    #: PENDING, RUNNING, NODE_FAIL, ...
    state: str
    reason: str

    @property
    def shut_out(self) -> bool:
        """Whether its node is kept from it. A node that is unavailable, or that another job waits for, is not for long:
        the reason outlives it by a turn of the scheduler."""
        return self.reason.startswith("ReqNodeNotAvail") and "maintenance" in self.reason.lower()

    @property
    def never(self) -> bool:
        """Whether it waits for what no time brings: a limit, a right, an operator."""
        limits = ("PartitionTimeLimit", "InvalidAccount", "InvalidQOS", "JobHeld")
        return self.reason.startswith(limits) or self.reason.endswith(("NotAllowed", "MaxWallDurationPerJobLimit"))


def hostnames(nodes: str) -> tuple[str, ...]:
    """The names that an expression of Slurm's (``gpu[01-30]``) stands for. Raises UsageError."""
    done = _call("scontrol", "show", "hostnames", nodes)
    said = f": {text}" if (text := _said(done)) else ""
    names = tuple(dict.fromkeys(done.stdout.decode("utf-8", "replace").split()))
    if done.exit_code != 0 or not names or not all(re.fullmatch(r"[\w.-]+", name) for name in names):
        raise UsageError(f"{nodes}: Slurm does not take this for nodes{said}", "name nodes as in 'gpu[01-30]'")
    return names


def nodes_of(names: Sequence[str]) -> Mapping[str, Node]:
    """Those of the nodes that Slurm knows."""
    found = {}
    for name, state, gres, reason in _rows(
        "sinfo", "--Node", "--noheader", f"--nodes={','.join(names)}", "--format=%N|%T|%G|%E"
    ):
        gpus = [one.partition("(")[0] for one in _entries(gres) if one.startswith("gpu")]
        said = "" if reason == "none" else one_line(reason)
        found[name] = Node(state=state.lower(), gpus=",".join(gpus), reason=said)
    return found


def jobs_named(names: Iterable[str]) -> Mapping[str, Job]:
    """The newest job of each name; of jobs that ended some minutes ago Slurm does not know any more."""
    found = {}
    listed = _rows("squeue", "--noheader", "--states=all", f"--name={','.join(names)}", "--format=%i|%j|%T|%r")
    for ident, name, state, reason in sorted(listed, key=lambda row: int(row[0]) if row[0].isdigit() else 0):
        found[name] = Job(id=ident, state=state, reason=one_line(reason))
    return found


def submit(words: Sequence[str]) -> str:
    """Have a job begun; empty, or why Slurm refuses it. Raises EngineError where Slurm cannot be reached."""
    done = _call("sbatch", "--parsable", *words)
    return "" if done.exit_code == 0 else _said(done) or f"sbatch ended with {done.exit_code}"


def cancel(jobs: Iterable[Job]) -> None:
    """End jobs, or take them out of the queue."""
    if idents := [job.id for job in jobs]:
        _call("scancel", "--quiet", *idents)


def update(node: str, state: str, reason: str = "") -> str:
    """Drain or resume a node; empty, or why it was refused."""
    done = _call("scontrol", "update", f"nodename={node}", f"state={state}", *([f"reason={reason}"] if reason else []))
    return "" if done.exit_code == 0 else _said(done)


def _rows(*command: str) -> list[list[str]]:
    """What a program lists, a row a line; the last column may hold the separator."""
    columns = command[-1].count("|") + 1
    done = _call(*command)
    if done.exit_code != 0:
        raise EngineError(f"{command[0]}: {_said(done)}", f"see what it says by hand: {command[0]}")
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    rows = [[word.strip() for word in line.split("|", columns - 1)] for line in lines if line.strip()]
    return [row for row in rows if len(row) == columns]


def _entries(gres: str) -> list[str]:
    """The entries of ``gpu:h100:8(S:0-1),lustre:1``: commas in brackets end none."""
    found, depth = [""], 0
    for sign in gres:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return found


def _call(*command: str) -> Finished:
    try:
        done = run_lines(command, say=lambda line: None, environ=os.environ, timeout_seconds=_PATIENCE)
    except FileNotFoundError:
        raise EngineError(
            f"{command[0]} is not on this machine", "run it where Slurm's commands are: a login node"
        ) from None
    if done.exit_code != 0 and any(word in done.said for word in _UNSET):
        raise EngineError(
            f"{command[0]}: Slurm has no configuration on this machine",
            "run it where Slurm's commands work: a login node",
        )
    if done.timed_out or (done.exit_code != 0 and any(word in done.said for word in _AWAY)):
        what = "no answer" if done.timed_out else _said(done)
        raise EngineError(f"{command[0]}: {what}", "see whether Slurm answers: scontrol ping")
    return done


def _said(done: Finished) -> str:
    return one_line(done.said)[-400:]
