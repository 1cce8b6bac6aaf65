"""fleet.json: the one reader and writer of how a fleet stands, written whole after each machine."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dlmatrix import __version__
from dlmatrix.document.result import parsed
from dlmatrix.errors import BusyError, ReportError, UsageError
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import causes, states
from dlmatrix.run.verdict import exit_code
from dlmatrix.system.files import read_limited
from dlmatrix.system.files import replace as write_whole
from dlmatrix.system.state import reports_folder

FILE = "fleet.json"
SCHEMA_VERSION = 1
#: Bytes that it may have; that of three hundred machines has a million.
LARGEST = 100_000_000
_AGAIN = "it is of another version, or was changed by hand: begin afresh with --new"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A run over many machines; ``machines`` has a row for each that was asked for."""

    run: str
    #: ansible, slurm
    engine: str
    envs: tuple[str, ...]
    #: what the command line asked for: the same again goes on with the run
    asked: Mapping[str, Any]
    #: UTC, ISO 8601
    started: str
    machines: tuple[Row, ...]
    updated: str = ""
    #: False while a command is at it, and where it was killed
    ended: bool = False
    #: machines that stand out among their siblings: see fleet.schema.json
    findings: tuple[Mapping[str, Any], ...] = field(default=())

    def with_rows(self, rows: Mapping[str, Row]) -> Fleet:
        """The fleet with other rows for some of its machines; never with a row more or less."""
        return replace(self, machines=tuple(rows.get(row.name, row) for row in self.machines))

    def unfinished(self) -> tuple[Row, ...]:
        """The machines that going on with the run may still finish."""
        return tuple(row for row in self.machines if not row.meaning.final)

    def exit_code(self) -> int:
        """The code of what went wrong where all of it is of one kind, else 1; 17 and 18 as compare has them."""
        codes = [row.exit_code for row in self.machines]
        certain = {str(found["what"]) for found in self.findings if found["certain"]}
        return exit_code([*codes, *(code for what, code in (("slower", 17), ("missing", 18)) if what in certain)])


def write(folder: Path, fleet: Fleet) -> Fleet:
    """Write fleet.json whole, or leave the old one. Returns the fleet as it was written."""
    written = replace(fleet, updated=now())
    data = {"schema_version": SCHEMA_VERSION, "dlmatrix": __version__, **asdict(written)}
    write_whole(folder / FILE, json.dumps(data, indent=1) + "\n")
    return written


def read(folder: Path) -> Fleet:
    """The fleet in a folder.

    Raises UsageError where there is none, ReportError where it is not one that this version understands.
    """
    file = folder / FILE
    if not file.is_file():
        raise _none(folder)
    try:
        data = parsed(read_limited(file, LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{file}: is not JSON: {error}", _AGAIN) from None
    schema = json.loads(Path(__file__).with_name("fleet.schema.json").read_text(encoding="utf-8"))
    if wrong := next(_wrong(data, schema, schema["$defs"], ""), ""):
        raise ReportError(f"{file}: {wrong}", _AGAIN)
    for machine in data["machines"]:
        if machine["state"] not in states() or machine.get("cause", "") not in {"", *causes()}:
            what = f"{machine['name'][:80]}: {machine['state'][:80]} is no state of this version"
            raise ReportError(f"{file}: {what}", _AGAIN)
    known = {one.name for one in fields(Fleet)}
    own = {key: _frozen(value) for key, value in data.items() if key in known - {"machines"}}
    return Fleet(machines=tuple(_row(machine) for machine in data["machines"]), **own)


def _none(folder: Path) -> UsageError:
    return UsageError(f"{folder} holds no {FILE}", "name the folder of a fleet's run (reports/fleet/RUN)")


def runs_folder(root: Path) -> Path:
    """Where the runs of fleets are."""
    return reports_folder(root) / "fleet"


def unfinished(above: Path, asked: Mapping[str, Any]) -> Path | None:
    """The newest run of the same question, where that is not finished; what cannot be read is none."""
    for folder in sorted((file.parent for file in above.glob(f"*/{FILE}")), reverse=True):
        with contextlib.suppress(ReportError):
            fleet = read(folder)
            if fleet.asked == asked:
                return folder if fleet.unfinished() else None
    return None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run for one command. Raises BusyError where another is at it, UsageError where there is no such run."""
    if not (folder / FILE).is_file():
        raise _none(folder)
    with (folder / ".held").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            what = f"{folder}: another command is at this run"
            raise BusyError(what, "wait for it, or press Ctrl-C there") from None
        yield


def now() -> str:
    """The time as fleet.json has it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def beginning(run: str, engine: str, envs: Sequence[str], asked: Mapping[str, Any], names: Sequence[str]) -> Fleet:
    """A fleet before anything was done: every machine that was asked for waits."""
    rows = tuple(Row(name=name) for name in names)
    return Fleet(run=run, engine=engine, envs=tuple(envs), asked=asked, started=now(), machines=rows)


def _wrong(value: Any, form: Mapping[str, Any], forms: Mapping[str, Any], at: str) -> Iterator[str]:
    """What does not fit fleet.schema.json, as far as that goes: a whole validator loads for longer than all else."""
    form = forms[form["$ref"].rpartition("/")[2]] if "$ref" in form else form
    kinds = form.get("type", [])
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{at or 'it'} is no {kinds}"
        return
    fits = (
        re.search(form.get("pattern", ""), value) and len(value) >= form.get("minLength", 0) if kinds == "string" else 1
    )
    if not fits or value not in form.get("enum", [value]) or value != form.get("const", value):
        yield f"{at}: {str(value)[:80]!r} is none"
    if isinstance(value, dict):
        known = form.get("properties", {})
        yield from (f"{at}{key} is missing" for key in form.get("required", ()) if key not in value)
        yield from (f"{at}{key} is not known" for key in value if "additionalProperties" in form and key not in known)
        for key in known.keys() & value.keys():
            yield from _wrong(value[key], known[key], forms, f"{at}{key}/")
    for number, item in enumerate(value if isinstance(value, list) and "items" in form else ()):
        yield from _wrong(item, form["items"], forms, f"{at}{number}/")


def _is(value: Any, kind: str) -> bool:
    kinds: dict[str, type] = {
        "object": dict,
        "array": list,
        "string": str,
        "null": type(None),
        "boolean": bool,
        "integer": int,
    }
    return isinstance(value, kinds.get(kind) or (int, float)) and (kind == "boolean" or not isinstance(value, bool))


def _row(machine: Mapping[str, Any]) -> Row:
    return Row(**{key: _frozen(value) for key, value in machine.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
