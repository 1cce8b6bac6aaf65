"""What a command line asks of a fleet, as what machines are sent and told to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dlmatrix.engines.choose import apptainer_engine
from dlmatrix.errors import UsageError
from dlmatrix.fleet import smoked
from dlmatrix.fleet.images import image_parts
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.parts import code_part, smoke_part
from dlmatrix.fleet.wheels import envs_part, tools_part
from dlmatrix.matrix.load import load_sound, lock_of, select
from dlmatrix.matrix.model import Env, Matrix
from dlmatrix.matrix.plan import Limits, Measuring, make_plan, quick

#: What wheels alone do not bring, by engine: without it a machine that reaches nothing cannot begin.
_NOT_SENT: Mapping[str, Callable[[str], str]] = {
    "auto": lambda python: f"a Docker engine that has the base image of Python {python}, or, without one, that Python",
    "docker": lambda python: f"the base image of Python {python}, in its engine",
    "venv": lambda python: f"Python {python}",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of every machine; kept in fleet.json, so that going on asks the same."""

    envs: tuple[str, ...]
    inventory: str = ""
    #: nodes, as Slurm has them (``gpu[01-30]``); the folder that all of them see; whether bad ones are drained
    slurm: str = ""
    shared: str = ""
    drain: bool = False
    limit: str = ""
    options: tuple[str, ...] = ()
    engine: str = "auto"
    #: an interpreter of the machines, to check what is there
    smoke_only: str = ""
    offline: bool = False
    images: bool = False
    quick: bool = False
    #: seconds
    timeout: int = 3600

    def as_json(self) -> dict[str, Any]:
        """As fleet.json has it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def of_json(asked: Mapping[str, Any]) -> Asked:
    """What a run was asked. Raises UsageError for a run of another kind."""
    try:
        words: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in asked.items()}
        return Asked(**words)
    except TypeError:
        raise UsageError("fleet.json: asked: is of another version", "begin afresh with --new") from None


def make_order(root: Path, asked: Asked, folder: Path, say: Callable[[str], None]) -> Order:
    """The command of each machine, and the parts that it needs, packed into a folder; ``say`` is told what takes long.

    Raises UsageError for an env that is none, NetworkError where wheels cannot be had.
    """
    matrix = load_sound(root)
    envs = select(matrix, asked.envs)
    if asked.smoke_only:
        return _smoke_only(root, asked, envs, folder)
    return _whole(matrix, asked, envs, folder, say)


def _smoke_only(root: Path, asked: Asked, envs: Sequence[Env], folder: Path) -> Order:
    if len(envs) != 1:
        raise UsageError("--smoke-only checks one interpreter, and so one env", "name one: --env gpu-torch")
    part = smoke_part(root, folder)
    measuring = (quick(envs[0]) if asked.quick else Measuring()).arguments()
    command = smoked.command(envs[0].framework, envs[0].variant, asked.smoke_only, part.key, measuring)
    return Order(command=command, limit=asked.timeout, parts=(part,))


def make_images(root: Path, asked: Asked, say: Callable[[str], None]) -> None:
    """For Apptainer: the images in the folder that all nodes see, before any of them asks for one.

    Raises EngineError where there is none, and says how to have it made.
    """
    if asked.engine != "apptainer" or asked.smoke_only:
        return
    matrix, engine = load_sound(root), apptainer_engine(Path(asked.shared) / "sif")
    for env in select(matrix, asked.envs):
        plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
        say(f"{env.name}: {engine.prepare(plan, say).what}")


def _whole(matrix: Matrix, asked: Asked, envs: Sequence[Env], folder: Path, say: Callable[[str], None]) -> Order:
    code, tools = code_part(matrix.root, folder), tools_part(matrix.root, folder, say)
    wheels = envs_part(matrix, envs, folder, say) if asked.offline else None
    for env in envs if wheels and asked.engine in _NOT_SENT and not asked.images else ():
        say(f"{env.name}: no index is asked there; not sent, and needed there: {_NOT_SENT[asked.engine](env.python)}")
    images = image_parts(matrix, envs, folder) if asked.images else ()
    command = ["{python}", f"{{base}}/parts/{code.key}/dlmatrix/fleet/machine/checks.py"]
    command += [f"{{base}}/parts/{tools.key}", "{base}/state"]
    command += [f"{{base}}/parts/{part.key}" if part else "" for part in (wheels, images[-1] if images else None)]
    # gpu-torch is the newest that the driver there can run; with wheels or images, the one whose they are.
    apptainer = asked.engine == "apptainer"
    names = [env.name for env in envs] if wheels or images or apptainer else asked.envs
    command += ["run", *names, "--engine", asked.engine]
    command += ["--sif", "{base}/sif"] if apptainer else []
    command += ["--report", "{folder}/report"]
    command += ["--quick"] if asked.quick else []
    return Order(command=command, limit=asked.timeout, parts=(code, tools, *([wheels] if wheels else []), *images))
