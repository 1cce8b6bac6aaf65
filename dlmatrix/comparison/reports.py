"""What comparing needs of a result.json, and nothing else."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlmatrix.document.result import FILE, ReplayError, Result, read_result, wrong_in
from dlmatrix.document.sizes import COMPRESSED, UNPACKED, sizes
from dlmatrix.errors import ReportError

_AGAIN = "it is of another version: leave it out, or run it again"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of throughput in one report."""

    id: str
    #: images/s, the median window of each process
    processes: tuple[float, ...]
    #: images/s, the fastest lap of each process
    fastest: tuple[float, ...] = ()
    #: why there are none
    reason: str = ""
    #: whether that is only because the budget went to other rows
    unreached: bool = False
    #: on processors the median in images/s; first step in seconds, peak memory in bytes
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One env of a report."""

    env: str
    #: images/s by the row's id
    rows: Mapping[str, Row]
    #: what the machine itself reached, higher is better
    roof: Mapping[str, float]
    #: what two runs must share to be compared
    terms: Mapping[str, str]
    #: what may differ, and is worth knowing
    surroundings: Mapping[str, str]
    #: why the figures cannot be trusted
    marks: tuple[str, ...]
    #: build in seconds (None where nothing was built), image in bytes
    costs: Mapping[str, float]
    #: why nothing was measured
    reason: str
    gpu: bool

    @property
    def measured(self) -> dict[str, Row]:
        """The rows that have figures."""
        return {name: row for name, row in self.rows.items() if row.processes}


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run on one machine."""

    name: str
    folder: Path
    surroundings: Mapping[str, str]
    cells: Mapping[str, Cell]
    #: processor, cores, names and number of the GPUs: what makes machines siblings; as measured, where anything was
    kind: str = ""
    #: the same, as the machine has it; empty where it does not tell
    machine: str = ""


def read(path: Path, schema: Mapping[str, Any]) -> Report:
    """The report in a folder, or in its result.json; ``schema`` is that of smoke/.

    Raises UsageError where there is none, ReportError where it is not one that this version understands.
    """
    result = read_result(path)
    try:
        return _parse(result, schema)
    except ReportError as error:
        raise ReportError(f"{result.folder / FILE}: {error.message}", error.next_step) from None


def read_all(paths: Iterable[Path], schema: Mapping[str, Any]) -> tuple[list[Report], list[ReportError]]:
    """The reports of all paths, where a folder of reports stands for each of them; no two have one name.

    A report that is named twice is one, and a guide's replay in a folder of reports is none. With them, what is wrong
    with those that cannot be read. Raises UsageError where there is none.
    """
    folders: dict[Path, Path] = {}
    inside: set[Path] = set()
    for path in paths:
        inner = sorted(file.parent for file in path.glob(f"*/{FILE}")) if not (path / FILE).is_file() else []
        inside.update(inner)
        for folder in inner or [path]:
            folders.setdefault((folder.parent if folder.name == FILE else folder).resolve(), folder)
    found: list[tuple[Path, Report]] = []
    wrong: list[ReportError] = []
    replays: list[ReplayError] = []
    for folder in folders.values():
        try:
            found.append((folder, read(folder, schema)))
        except ReportError as error:
            wrong.append(error)
        except ReplayError as error:
            if folder not in inside:
                raise
            replays.append(error)
    if replays and not found and not wrong:
        raise replays[0]
    names = Counter(report.name for _, report in found)
    return [replace(r, name=str(path)) if names[r.name] > 1 else r for path, r in found], wrong


def _parse(result: Result, schema: Mapping[str, Any]) -> Report:
    data, folder = result.data, result.folder
    try:
        surroundings = {"dlmatrix": str(data["dlmatrix"])}
        surroundings |= {f"host {key}": value for key, value in _host(data["host"]).items()}
        surroundings |= {
            f"engine {key}".replace("engine engine", "engine"): str(v) for key, v in data["engine"].items()
        }
        cells = {env["name"]: _cell(env, data["engine"], schema) for env in data["envs"]}
        measured = (_kind(cell.terms) for cell in cells.values() if cell.measured)
        host = data["host"]
        machine = _kind(_texts({"CPU": host.get("cpu"), "processors": host.get("cpus"), "GPUs": _gpus(host)}))
        return Report(
            name=folder.name,
            folder=folder,
            surroundings=surroundings,
            cells=cells,
            kind=next(measured, ""),
            machine=machine if host.get("cpu") else "",
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        # What is in a document is held against smoke's schema only as far as its throughput.
        raise ReportError(f"is no report of this version ({error!r})", _AGAIN) from None


def _kind(terms: Mapping[str, str]) -> str:
    gpus = "" if terms["GPUs"] == "-" else f", {terms['GPUs']}"
    return f"{terms['processors'].removesuffix('.0')} x {terms['CPU']}{gpus}"


def _host(host: Mapping[str, Any]) -> dict[str, str]:
    """The machine, its GPUs counted by name; its id and theirs only say once more that it is another."""
    return {
        key: str(value)
        for key, value in {**host, "gpus": _gpus(host)}.items()
        if key != "id" and value not in (None, "")
    }


def _gpus(host: Mapping[str, Any]) -> str:
    return _counted(str(gpu["name"]) for gpu in host.get("gpus", ()))


def _cell(env: Mapping[str, Any], engine: Mapping[str, Any], schema: Mapping[str, Any]) -> Cell:
    document, facts = env["document"] or {}, env["facts"]
    found = document.get("throughput")
    _validate(env["name"], found, schema)
    found = found or {"settings": {}, "machine": {}, "roof": [], "rows": []}
    machine, rows = found["machine"], found["rows"]
    surroundings = {"Python": document.get("python"), "governor": machine.get("governor")}
    surroundings |= {key: facts.get(key) for key in ("base", "base kind", "key")}
    ended = f"{env['outcome']}: {env['reason']}"
    size = sizes(env, engine)
    costs = {"unpacked image": size[UNPACKED], "compressed image": size[COMPRESSED]}
    costs["build"] = env["seconds"].get("prepare") if env["built"] else None
    return Cell(
        env=env["name"],
        rows={row["id"]: _row(row) for row in rows},
        roof={f"{r['name']} {r['detail']}": _rate(r) for r in found["roof"] if r["value"]["median"]},
        terms=terms(document),
        surroundings=_texts(surroundings),
        marks=(*machine.get("marks", ()), *([ended] if rows and env["outcome"] in {"failed", "error"} else [])),
        costs=_numbers(costs),
        reason=ended if not rows else "",
        gpu=any(row["device"] == "cuda" for row in rows),
    )


def terms(document: Mapping[str, Any]) -> dict[str, str]:
    """What two measurements must share to be compared: versions, settings, threads, processors, GPUs, driver."""
    found = document.get("throughput")
    if not found:
        return {}
    machine, gpus = found["machine"], found["machine"]["gpus"]
    # Patch releases of Python are as fast as each other, and a container's is seldom the machine's.
    named = {"Python": ".".join(document["python"].split(".")[:2]), **document["versions"]}
    named |= {"threads": found["threads"]} | {f"setting {key}": value for key, value in found["settings"].items()}
    named |= {"CPU": machine["cpu"], "processors": machine["cpus"]}
    named |= {"GPUs": _counted(gpu["name"] for gpu in gpus), "driver": _counted(gpu["driver"] for gpu in gpus)}
    named |= {"device": _counted({row["device"] for row in found["rows"]})}
    return _texts(named)


def _row(row: Mapping[str, Any]) -> Row:
    costs = {
        "first step": row["first_step_seconds"],
        "peak memory": row["peak_host_bytes"],
        "peak GPU memory": row["peak_device_bytes"],
    }
    measured, samples, laps = row["outcome"] == "measured", row["samples"], row["fastest"]
    if len(samples) != len(laps):
        raise ReportError(f"{row['id']}: {len(samples)} processes and {len(laps)} fastest laps", _AGAIN)
    # A process without a lap above zero measured nothing.
    told = [(windows, lap) for windows, lap in zip(samples, laps, strict=True) if measured and lap > 0]
    processes = process_medians(windows for windows, _ in told)
    if processes and row["device"] == "cpu":
        costs["median"] = statistics.median(processes)
    return Row(
        id=row["id"],
        processes=processes,
        fastest=tuple(lap for _, lap in told),
        reason=row["reason"],
        unreached=not measured and row["stopped"] == "budget",
        costs=_numbers(costs) if measured else {},
    )


def process_medians(samples: Iterable[Iterable[float]]) -> tuple[float, ...]:
    """The median window of each process; a process without a window above zero measured nothing."""
    return tuple(median for windows in map(list, samples) if windows and (median := statistics.median(windows)) > 0)


def _validate(env: str, throughput: Any, schema: Mapping[str, Any]) -> None:
    part = {"$defs": schema["$defs"], **schema["properties"]["throughput"]}
    if error := wrong_in(throughput, part):
        where = "/".join(map(str, ("throughput", *error.absolute_path)))
        what = error.message if len(error.message) < 200 else f"is not of {error.validator} {error.validator_value}"
        raise ReportError(f"{env}: {where}: {what[:200]}", _AGAIN)


def _rate(roof: Mapping[str, Any]) -> float:
    """A roof's figure so that more is better: launches per second, not seconds."""
    value = float(roof["value"]["median"])
    return 1 / value if roof["unit"] == "s" else value


def _counted(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(f"{listed.count(n)} x {n}" if listed.count(n) > 1 else str(n) for n in dict.fromkeys(listed))


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: "-" if value in (None, "") else str(value) for key, value in values.items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items() if value is not None}
