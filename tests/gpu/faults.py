"""The faults of faults.toml: what is staged, what is expected, and how an answer is held against it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlmatrix.errors import ConfigError
from dlmatrix.system.toml import Table, read_toml

FILE = Path(__file__).with_name("faults.toml")
_FRAMEWORKS = ("", "any", "torch")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row of faults.toml, whose head says what the fields mean."""

    name: str
    what: str
    verdict: str
    causes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scenario: str = ""
    framework: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    address_space: int = 0
    open_files: int = 0
    shm: int = 0
    closed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    driver_emptied: str = ""
    wheel_emptied: str = ""
    hidden: tuple[str, ...] = ()
    stub: bool = False
    held: int = 0
    forced_jit: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what was expected, what was found, and what came of it; a skip is never a pass."""

    name: str
    what: str
    expected: str
    found: str
    #: passed, failed or skipped
    outcome: str
    reason: str = ""
    seconds: float = 0.0


def load(file: Path = FILE) -> tuple[Fault, ...]:
    """Every fault; ConfigError by file and key for what is not understood."""
    faults = [_fault(file, n, data) for n, data in enumerate(read_toml(file).get("fault", []))]
    names = [fault.name for fault in faults]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{file}: {name}: is there twice", "rename one")
    return tuple(faults)


def _fault(file: Path, number: int, data: dict[str, Any]) -> Fault:
    table = Table(file, f"fault.{data.get('name', number)}.", data)
    fault = Fault(
        name=table.take("name", str),
        what=table.take("what", str),
        verdict=table.take("verdict", str),
        causes=table.strings("causes", ()),
        warnings=table.strings("warnings", ()),
        scenario=table.take("scenario", str, ""),
        framework=table.take("framework", str, ""),
        variables=table.take("variables", dict, {}),
        address_space=table.take("address_space", int, 0),
        open_files=table.take("open_files", int, 0),
        shm=table.take("shm", int, 0),
        closed=table.strings("closed", ()),
        missing=table.strings("missing", ()),
        driver_emptied=table.take("driver_emptied", str, ""),
        wheel_emptied=table.take("wheel_emptied", str, ""),
        hidden=table.strings("hidden", ()),
        stub=table.take("stub", bool, False),
        held=table.take("held", int, 0),
        forced_jit=table.take("forced_jit", bool, False),
    )
    table.done()
    if fault.verdict not in ("usable", "unusable"):
        table.fail("verdict", f"must be usable or unusable, not {fault.verdict!r}", "correct it")
    if fault.framework not in _FRAMEWORKS:
        table.fail("framework", f"must be one of {', '.join(_FRAMEWORKS[1:])}", "correct it")
    return fault


def said(verdict: str, causes: Collection[str], warnings: Collection[str]) -> str:
    """A verdict with its labels as the table shows it: ``usable; warns NODES_REMADE``."""
    parts = [" ".join([verdict, ", ".join(causes)]).strip(), f"warns {', '.join(warnings)}" if warnings else ""]
    return "; ".join(filter(None, parts))


def expectation(fault: Fault) -> str:
    """What the doctor must say of it."""
    return said(fault.verdict, fault.causes, fault.warnings)


def judge(fault: Fault, document: Mapping[str, Any], known: Collection[str]) -> tuple[str, str]:
    """(outcome, what was found): the doctor's JSON against the fault.

    `known` are the labels that the machine gets without any fault; they count only where the fault expects them.
    """
    expected = (*fault.causes, *fault.warnings)
    causes, warnings = (
        [cause["label"] for cause in document[kind] if cause["label"] in expected or cause["label"] not in known]
        for kind in ("causes", "warnings")
    )
    right = (document["verdict"], causes, warnings) == (fault.verdict, list(fault.causes), list(fault.warnings))
    return "passed" if right else "failed", said(document["verdict"], causes, warnings)
