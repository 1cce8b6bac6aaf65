"""What would work on this machine as it is, following the layer that is broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.gpu.diagnosis import Cause
from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.examination import Examination
from dlmatrix.gpu.gate import Gpu, Machine, judge
from dlmatrix.gpu.selection import chosen
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import lock_of
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.matrix.plan import ALL

_SUGGESTED = 4
#: Layers of the env itself: what is broken there is broken on the host too where another env is not built otherwise.
_OF_THE_ENV = ("framework", "cuInit", "container start")


@dataclass(frozen=True, kw_only=True)
class Instead:
    """Envs that would run here, and the engine that they need where it is not the one that was asked about."""

    envs: tuple[str, ...] = ()
    engine: str | None = None


def machine_of(facts: dict[str, Any] | None, named: tuple[str, ...] = ALL) -> Machine:
    """The driver and the GPUs of a facts document, those that ``--gpus`` names, as the compatibility table counts."""
    view = View(facts, place="host")
    rows = [row for row in chosen(view.rows("nvml.devices"), named) if row.text("name")] or view.rows("cuda.devices")
    gpus = []
    for row in rows:
        pair = row.get("compute_capability")
        known = isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
        gpus.append(Gpu(name=row.text("name") or "GPU", capability=f"{pair[0]}.{pair[1]}" if known else None))
    driver = view.text("nvml.driver") or view.module_version
    return Machine(driver=driver or None, gpus=tuple(gpus))


def would_work(root: Path, matrix: Matrix, env: Env | None, examination: Examination) -> Instead:
    """Gpu envs as far as some can run here, those of the same series first; cpu envs where none can."""
    if examination.verdict == "usable":
        return Instead()
    series = env.series if env else ""
    envs = sorted((e for e in reversed(matrix.envs) if e.status is Status.SUPPORTED), key=lambda e: e.series != series)
    causes = examination.diagnosis.causes
    host = View(examination.host, place="host")
    if causes and all(map(_of_this_env, causes)):
        return _gpu_envs(root, matrix, [e for e in envs if e != env], examination) or _cpu_envs(envs, env)
    if host.cuda_works and all(cause.place != "host" for cause in causes):
        # A container is what the GPU does not reach, or there is no engine: the same env runs without one.
        first = sorted(envs, key=lambda e: e != env)
        return _gpu_envs(root, matrix, first, examination, engine="venv") or _cpu_envs(envs, env)
    return _cpu_envs(envs, env)


def _of_this_env(cause: Cause) -> bool:
    other = {row.label: row.other_env for row in catalogue().rows}
    return other[cause.label] and (cause.layer in _OF_THE_ENV or cause.place == "container")


def _gpu_envs(
    root: Path, matrix: Matrix, envs: list[Env], examination: Examination, *, engine: str | None = None
) -> Instead | None:
    table, machine = load_compatibility(root), machine_of(examination.host or examination.inside)
    gpu = [e for e in envs if e.variant == "gpu"]
    fitting = [e.name for e in gpu if judge(table, e, machine, locks={e.name: lock_of(matrix, e)}).usable]
    return Instead(envs=tuple(fitting[:_SUGGESTED]), engine=engine) if fitting else None


def _cpu_envs(envs: list[Env], env: Env | None) -> Instead:
    return Instead(envs=tuple(e.name for e in envs if e.variant == "cpu" and e != env)[:_SUGGESTED])
