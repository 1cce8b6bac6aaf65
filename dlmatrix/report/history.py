"""What earlier runs of this checkout measured: reports/history/, one small file a run.

A file is written beside its place and moved there, so that two runs never meet and a reader never
sees half of one; a file that cannot be read costs nothing but itself.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any

from dlmatrix.document import rates
from dlmatrix.document.result import FILE, parsed
from dlmatrix.document.sizes import UNPACKED, sizes
from dlmatrix.errors import EXIT_INTERRUPTED, typed
from dlmatrix.system.files import read_limited
from dlmatrix.system.files import replace as replace_file
from dlmatrix.system.state import reports_folder

#: How many of the newest runs are read.
READ = 200
#: What a reader counts with, where an entry has it.
_NUMBERS = ("build", "run", "unpacked", "accuracy")
#: How many of an env's newest runs tell how long its next one will take.
_RECENT = 5


@dataclass(frozen=True, kw_only=True)
class History:
    """Entries of earlier runs, the oldest first, and the files that are none."""

    entries: tuple[Mapping[str, Any], ...] = ()
    unreadable: tuple[str, ...] = ()

    def of(self, env: str, engine: str) -> list[Mapping[str, Any]]:
        """One env's entries on one engine and on the kind of processor it was last measured on."""
        found = [entry for entry in self.entries if (entry["env"], entry["engine"]) == (env, engine)]
        last = next((entry["cpu"] for entry in reversed(found) if entry["cpu"]), "")
        return [entry for entry in found if entry["cpu"] in ("", last)]

    def expected(self, engine: str, measuring: str, env: str, step: str) -> float | None:
        """The seconds that a step (build, run) of an env will take, if earlier runs tell.

        How long the checks run depends on what they measure: only runs that measured the same tell it.
        """
        alike = [entry for entry in self.of(env, engine) if step == "build" or entry.get("measuring") == measuring]
        known = [entry[step] for entry in alike if isinstance(entry.get(step), (int, float))]
        return statistics.median(known[-_RECENT:]) if known else None

    def with_run(self, report: Path, data: Mapping[str, Any]) -> History:
        """The same and one run more: its folder and its result.json."""
        return replace(self, entries=(*self.entries, *({**entry, **_named(report)} for entry in core(data))))


def folder(root: Path) -> Path:
    """Where the history is: beside the reports."""
    return reports_folder(root) / "history"


def read(root: Path) -> History:
    """The newest runs; the names of unreadable files are part of the answer."""
    entries: list[Mapping[str, Any]] = []
    unreadable = []
    for file in sorted(folder(root).glob("*.json"))[-READ:]:
        try:
            entries += entries_of(parsed(read_limited(file)))
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            unreadable.append(file.name)
    return History(entries=tuple(sorted(entries, key=lambda entry: entry["started"])), unreadable=tuple(unreadable))


def before(history: History, data: Mapping[str, Any], folder: Path) -> tuple[str, str] | None:
    """The newest run before this one of the same envs, measured alike, that is there: when, and how to compare."""
    engine = (data.get("engine") or {}).get("engine")
    names = {env["name"] for env in data["envs"] if env.get("seconds")}
    envs: dict[str, set[str]] = {}
    for entry in history.entries:
        envs.setdefault(entry["folder"], set()).add(entry["env"])
    alike = [
        entry
        for name in names
        for entry in history.of(name, str(engine))
        if entry["started"] < str(data.get("started", ""))
        and entry.get("measuring") == data.get("measuring")
        and (entry["train"] or entry["infer"])
        and envs[entry["folder"]] == names
        and (Path(entry["folder"]) / FILE).is_file()
    ]
    if not alike:
        return None
    last = max(alike, key=lambda entry: entry["started"])
    command = ["python", "-m", "dlmatrix", "compare", _from_here(Path(last["folder"])), _from_here(folder)]
    return last["started"][:16].replace("T", " "), typed(shlex.join(command))


def _from_here(folder: Path) -> str:
    """A folder as it is named from the current one, where it is below that."""
    here, there = Path.cwd(), folder.absolute()
    return str(there.relative_to(here) if there.is_relative_to(here) else there)


def add(root: Path, report: Path, data: Mapping[str, Any]) -> None:
    """Keep the core figures of a run, if it has any: ``report`` is its folder, ``data`` its result.json."""
    if entries := core(data):
        file = folder(root) / f"{data['started'][:19].replace(':', '')}-{os.getpid()}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps({"schema_version": 1, **_named(report), "envs": entries}) + "\n")


def _named(report: Path) -> dict[str, str]:
    return {"report": report.absolute().name, "folder": str(report.absolute())}


def core(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The core figures of a result.json: an entry for each env that was made ready and came to its end."""
    return [_entry(env, data) for env in data["envs"] if env["seconds"] and env.get("exit_code") != EXIT_INTERRUPTED]


def entries_of(data: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The entries of one file, checked for what every reader takes for granted."""
    for entry in data["envs"]:
        known = dict(entry)
        if not all(isinstance(known[key], str) for key in ("env", "engine", "started", "outcome", "cpu")):
            raise TypeError
        if not all(isinstance(known.get(key), (int, float, NoneType)) for key in _NUMBERS):
            raise TypeError
        if not all(isinstance(mark, str) for mark in known.get("marks") or ()):
            raise TypeError
        for kind in ("train", "infer"):
            if (rate := known[kind]) is not None and not (
                isinstance(rate.get("row", ""), str)
                and all(isinstance(rate[key], (int, float)) for key in ("median", "low", "high"))
            ):
                raise TypeError
        yield known | {"report": str(data["report"]), "folder": str(data.get("folder") or f"reports/{data['report']}")}


def _entry(env: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    document = env["document"] or {}
    throughput = document.get("throughput")
    machine = throughput.get("machine") or {} if isinstance(throughput, dict) else {}
    finished = env["outcome"] in ("passed", "failed") or document
    return {
        "env": env["name"],
        "engine": data["engine"]["engine"],
        "started": data["started"],
        "outcome": env["outcome"],
        "cpu": machine.get("cpu") or "",
        "build": env["seconds"].get("prepare") if env["built"] else None,
        "run": env["seconds"].get("run") if finished else None,
        "measuring": data.get("measuring", ""),
        "unpacked": sizes(env, data["engine"])[UNPACKED],
        "accuracy": (document.get("training") or {}).get("test_accuracy"),
        "marks": rates.marks(document),
        "train": _rate(document, "train"),
        "infer": _rate(document, "infer"),
    }


def _rate(document: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    found = rates.headline(document, kind)
    if found is None:
        return None
    row = found[1]
    value = row["images_per_second"]
    if not isinstance(value, dict):
        value = {"median": value, "low": value, "high": value}
    return {"row": row.get("id", ""), **{key: value[key] for key in ("median", "low", "high")}}
