"""The machine that faults are staged on: what the doctor and the interpreter say of it before anything is wrong."""

from __future__ import annotations

import glob
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dlmatrix.errors import UsageError
from dlmatrix.gpu.diagnosis.predicates.state import foreign
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.selection import VISIBLE
from dlmatrix.matrix.model import Env, Matrix, Status
from tests.gpu.faults import Fault
from tests.gpu.stage import NotStagedError, Staging

#: nobody, on every Linux
NOBODY = 65534
#: Whoever takes all of a GPU's memory takes it only where next to nothing is in use.
_UNUSED = 0.9
_SERIES = ("torch", "tf2", "tf1-compat", "tf1")
_ASKED = """
import json, sys
from smoke.detect.framework import distributions
print(json.dumps({"distributions": distributions(), "path": sys.path}))
"""
_STUBS = ("/usr/local/cuda*/lib64/stubs/libcuda.so", "/usr/local/cuda*/targets/*/lib/stubs/libcuda.so",
          "/usr/lib/*/stubs/libcuda.so")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """What is installed for the interpreter whose framework is asked."""

    python: Path
    distributions: Mapping[str, Sequence[str]]
    #: its sys.path
    path: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The env that stands for the installed framework; exact where it is of that very version."""

    env: Env | None
    exact: bool
    why: str
    installed: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts of a healthy examination, and where things are."""

    view: View
    interpreter: Interpreter
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def gpus(self) -> list[View]:
        """The GPUs as NVML tells of them."""
        return self.view.rows("nvml.devices")


def ask(root: Path, python: Path) -> Interpreter:
    """Which frameworks an interpreter has; importing none of them. Raises UsageError for what is no interpreter."""
    environ = dict(os.environ) | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [str(python), "-c", _ASKED], capture_output=True, cwd=root, env=environ, check=True, timeout=60
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        what = f"{python} does not say what is installed for it: {error}"
        raise UsageError(what, "name an interpreter: --python /path/to/bin/python") from None
    return Interpreter(python=python, distributions=answer["distributions"], path=tuple(answer["path"]))


def choose(matrix: Matrix, distributions: Mapping[str, Sequence[str]]) -> Choice:
    """The gpu env of the installed version, PyTorch's before TensorFlow's; else the newest of that framework."""
    envs = [e for e in matrix.envs if e.variant == "gpu" and e.status is not Status.IMPOSSIBLE]
    known = sorted((e for e in envs if e.distribution in distributions), key=lambda e: -_SERIES.index(e.series))
    if not known:
        return Choice(env=None, exact=False, why="neither PyTorch nor TensorFlow is installed", installed="")
    exact = [e for e in known if e.version in [v.partition("+")[0] for v in distributions[e.distribution]]]
    env = (exact or [e for e in known if e.series == known[-1].series])[-1]
    installed = f"{env.distribution} {', '.join(distributions[env.distribution])}"
    has = ", ".join(e.version for e in known if e.distribution == env.distribution)
    why = "" if exact else f"{installed} is installed, and the matrix has {has}"
    return Choice(env=env, exact=bool(exact), why=why, installed=installed)


def plan(fault: Fault, machine: Machine, scratch: Path) -> tuple[Staging, dict[str, str]]:
    """How a fault is staged here, and the variables that go with it. Raises NotStagedError with the reason."""
    variables = {name: _filled(text, machine) for name, text in fault.variables.items()}
    if VISIBLE in variables and VISIBLE in machine.environ:
        raise NotStagedError(f"{VISIBLE} is set here: a scheduler says which GPU may be used")
    if fault.forced_jit:
        _needs_no_ptx(machine)
    if fault.held:
        _needs_unused(machine)
    if fault.stub:
        variables["LD_LIBRARY_PATH"] = ":".join(filter(None, [_stub(scratch), machine.environ.get("LD_LIBRARY_PATH")]))
    staging = Staging(
        scratch=str(scratch),
        address_space=fault.address_space,
        open_files=fault.open_files,
        shm=fault.shm,
        missing=_nodes(fault.missing),
        closed=_nodes(fault.closed),
        emptied=(*_driver(fault.driver_emptied, machine), *_wheel(fault.wheel_emptied, machine)),
        hidden=_there(fault.hidden),
        user=NOBODY if fault.closed else 0,
    )
    return staging, variables


def _filled(text: str, machine: Machine) -> str:
    uuids = [row.text("uuid") for row in machine.gpus]
    if "{uuid_start}" in text and any(row.flag("mig.enabled") for row in machine.gpus):
        raise NotStagedError("the GPU is divided into MIG devices, which have UUIDs of their own")
    start = ""
    if uuids:
        lengths = range(len("GPU-") + 4, len(uuids[0]) + 1)
        start = next((uuids[0][:n] for n in lengths if sum(u.startswith(uuids[0][:n]) for u in uuids) == 1), "")
    return text.replace("{beyond}", str(len(uuids) + 6)).replace("{uuid_start}", start)


def _needs_no_ptx(machine: Machine) -> None:
    archs = machine.view.words("framework.arch_list")
    ptx = [int(word.partition("_")[2].rstrip("af")) for word in archs if word.startswith("compute_")]
    cards = [10 * major + minor for major, minor in machine.view.capabilities]
    if not archs or not cards:
        raise NotStagedError("it is not known for which cards the wheel has kernels")
    if any(have <= card for have in ptx for card in cards):
        raise NotStagedError("the wheel has PTX that this card can compile")


def _needs_unused(machine: Machine) -> None:
    others = foreign(machine.view.all("nvml.devices.*.processes.*.pid"), machine.view)
    used = [row for row in machine.gpus
            if (row.integer("memory.free") or 0) < _UNUSED * (row.integer("memory.total") or 1)]  # fmt: skip
    if others or used or not machine.gpus:
        raise NotStagedError("others use a GPU here, whose memory is not to be taken")
    if any(row.integer("compute_mode") for row in machine.gpus):
        raise NotStagedError("a GPU is in an exclusive mode")


def _stub(scratch: Path) -> str:
    found = sorted(path for pattern in _STUBS for path in glob.glob(pattern))
    if not found:
        raise NotStagedError("no CUDA toolkit with a stub of libcuda is installed")
    folder = scratch / "stubs"
    folder.mkdir(exist_ok=True)
    link = folder / "libcuda.so.1"
    link.unlink(missing_ok=True)
    link.symlink_to(found[0])
    return str(folder)


def _nodes(patterns: Sequence[str]) -> tuple[str, ...]:
    found = [path for pattern in patterns for path in sorted(glob.glob(pattern)) if Path(path).is_char_device()]
    if patterns and not found:
        raise NotStagedError(f"there is no {', '.join(patterns)}")
    return tuple(found)


def _driver(witness: str, machine: Machine) -> tuple[str, ...]:
    path = machine.view.text(f"{witness}.library.path") if witness else ""
    if witness and not path:
        raise NotStagedError(f"where the library of {witness} lies is not known")
    return (path,) if path else ()


def _wheel(pattern: str, machine: Machine) -> tuple[str, ...]:
    folders = ("nvidia/*/lib", "torch/lib", "tensorflow")
    found = {
        os.path.realpath(path)
        for place in machine.interpreter.path if place
        for folder in folders
        for path in glob.glob(f"{glob.escape(place)}/{folder}/{pattern}")
    }  # fmt: skip
    if pattern and not found:
        raise NotStagedError(f"no installed wheel has {pattern}")
    return tuple(sorted(found)) if pattern else ()


def _there(folders: Sequence[str]) -> tuple[str, ...]:
    for folder in folders:
        if not Path(folder).is_dir():
            raise NotStagedError(f"there is no {folder}")
    return tuple(folders)
