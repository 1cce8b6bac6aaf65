"""What the image tests share."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import Limits, Measuring, Plan, make_plan
from dlmatrix.system.checkout import find_root

ROOT = find_root(Path(__file__).parent)
START = 'start one: .ci/engine start && eval "$(.ci/engine env)"'


@dataclass(frozen=True)
class Ran:
    """A finished command line."""

    code: int
    out: str
    err: str


Dlmatrix = Callable[..., Ran]


def command(*arguments: str) -> list[str]:
    """The command line that runs dlmatrix with this interpreter; a run measures nothing, unless it is told what."""
    bare = arguments[0] == "run" and not {"--quick", "--throughput"} & set(arguments)
    return [sys.executable, "-m", "dlmatrix", *arguments, *(["--throughput", "0"] if bare else [])]


def environment(**changes: str) -> dict[str, str]:
    """The environment for it: the checkout's package wherever it is started."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | changes


def plan_of(root: Path, name: str) -> Plan:
    """The plan of one env of a checkout."""
    matrix = load_matrix(root)
    (env,) = select(matrix, [name])
    plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
    return replace(plan, measuring=Measuring(seconds=0))


def change_lock(root: Path, name: str) -> None:
    """Make a checkout's lock one that nobody has built, so that no layer cache holds what it gives."""
    lock = root / "envs" / "locks" / f"{name}.txt"
    lock.write_text(f"{lock.read_text()}# {uuid.uuid4()}\n")


def containers(client: Any, root: Path = ROOT) -> list[str]:
    """A checkout's containers, running or not."""
    checkout = f"dlmatrix.checkout={plan_of(root, 'cpu-torch-2.13').checkout}"
    return [c.name for c in client.containers.list(all=True, filters={"label": checkout})]


def result(folder: Path) -> dict[str, Any]:
    """A report's result.json."""
    return dict(json.loads((folder / "result.json").read_text()))


def outcomes(folder: Path) -> Sequence[tuple[str, str]]:
    """(env, outcome) of each row of a report."""
    return [(env["name"], env["outcome"]) for env in result(folder)["envs"]]
