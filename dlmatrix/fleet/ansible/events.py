"""From the events of a playbook to the rows of its machines. What a machine says is hostile text."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlmatrix.fleet.home import arrive, count, read_end, settle
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import RUNNING, WAITING, cause_of
from dlmatrix.system.markdown import one_line

#: How Ansible begins to say that a task's own limit ran out: the connection is there, and nothing comes back.
_SILENT = "Timed out after"
#: What Ansible says where a command is not there; which one, only its traceback tells.
_NO_PROGRAM = "Error executing command."
#: The keyed hash of a machine's id, as its supervisor makes it.
_MACHINE = re.compile(r"[0-9a-f]{,64}")
_STATES = {"running": RUNNING, "lost": "lost", "twin": "twin"}


class Reading:
    """The rows of machines, as the events of one playbook change them."""

    def __init__(self, run: Path, rows: Mapping[str, Row]) -> None:
        self._run = run
        self.rows = dict(rows)
        #: machines whose state is an answer already: what is skipped for them later changes nothing
        self._answered: set[str] = set()

    def take(self, event: Mapping[str, Any]) -> Row | None:
        """The machine's row, where an event changes it."""
        data = event.get("event_data") or {}
        row = self.rows.get(str(data.get("host")))
        if row is None or row.name in self._answered:
            return None
        changed = self._changed(row, str(event.get("event")), str(data.get("task")), data.get("res") or {})
        if changed is None or changed == row:
            return None
        self.rows[row.name] = changed
        if not changed.meaning.moving:
            self._answered.add(row.name)
        return changed

    def _changed(self, row: Row, event: str, task: str, res: Mapping[str, Any]) -> Row | None:
        if event == "runner_on_start":
            return replace(row if row.meaning.moving else row.at(WAITING), step=task)
        if event == "runner_on_unreachable":
            return self._not_reached(row, _said(res))
        if event in ("runner_on_failed", "runner_item_on_failed"):
            return self._failed(row, res)
        if event in ("runner_on_ok", "runner_retry") and task in ("start", "wait", "stop"):
            return self._told(row, task, read_end(str(res.get("stdout") or "")))
        return None

    def _told(self, row: Row, task: str, found: Mapping[str, Any]) -> Row | None:
        """What the supervisor there says of the checks."""
        machine = found.get("machine")
        row = replace(
            row,
            attempts=count(found.get("attempt"), row.attempts),
            machine=machine if isinstance(machine, str) and _MACHINE.fullmatch(machine) else row.machine,
        )
        state = str(found.get("state"))
        if state == "ended" and isinstance(found.get("ended"), dict):
            if task == "stop":
                return row.at(WAITING, said="its checks were ended, or had ended")
            return self._come_home(row, found["ended"], found.get("home"))
        if state not in _STATES:
            return None
        said = {"twin": f"{found.get('of')} came first", "lost": "restarted since" if found.get("rebooted") else ""}
        return row.at(_STATES[state], said=said.get(state, ""), step=one_line(str(found.get("step") or row.step)))

    def _come_home(self, row: Row, ended: Mapping[str, Any], files: Any) -> Row:
        """Put what came aside, and see whether it is a result."""
        try:
            arrive(self._run, row.name, files if isinstance(files, dict) else {})
            return settle(self._run, row, ended)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            return row.at("not-home", "disk-full-here" if full else "", said=str(error))

    @staticmethod
    def _not_reached(row: Row, said: str) -> Row:
        cause = cause_of(said, "unreachable", "unfit")
        if cause and cause.state == "unfit":
            return row.at("unfit", cause.id, said=said)
        return row.at(
            "gone" if row.attempts else "unreachable", "" if row.attempts or not cause else cause.id, said=said
        )

    @staticmethod
    def _failed(row: Row, res: Mapping[str, Any]) -> Row:
        said = _said(res)
        if _SILENT in said:
            return row.at("silent", said=said)
        cause = cause_of(said, "unfit")
        return row.at("unfit", cause.id if cause else "", said=said)


def _said(res: Mapping[str, Any]) -> str:
    """What was said of a failure: the module's own words, then what the machine wrote."""
    results = [one for one in res.get("results") or () if isinstance(one, Mapping) and one.get("failed")]
    parts: list[str] = []
    for one in results or [res]:
        message = str(one.get("msg") or "")
        machine = [str(one.get(key) or "") for key in ("module_stderr", "stderr", "module_stdout")]
        machine += [str(one.get("exception") or "").strip().rpartition("\n")[2]] if message == _NO_PROGRAM else []
        parts += [*machine, message] if message in ("non-zero return code", "MODULE FAILURE") else [message, *machine]
    return one_line(" ".join(parts)) or one_line(json.dumps(dict(res), default=str))[:200]
