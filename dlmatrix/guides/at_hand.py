"""Which environments of the matrix that are at hand run a broken guide's programs as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dlmatrix.errors import DlmatrixError
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.replay import Setting, in_a_folder, player, verdict
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Env
from dlmatrix.system.state import state_dir

_IMPORTS = {
    "torch": re.compile(r"\bimport torch\b|\bfrom torch\b"),
    "tf": re.compile(r"\b(?:import|from) tensorflow\b"),
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """An env, whether it runs the programs as they are written, and what a replay in it says."""

    env: str
    works: bool
    words: str


class EnvWorld(World):
    """A world whose environment is one of the matrix, which nothing can write to."""

    def __init__(self, folder: Path, *, venv: Path, **more: Any) -> None:
        self._venv = venv
        super().__init__(folder, **more)

    def _fill_env(self, place: Path, version: str, pip: str) -> None:
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(self._venv)
        self._python(version)
        self._readable.append(self._venv)


def as_written(setting: Setting, guide: Guide, steps: Sequence[Step], envs: Sequence[Env]) -> Iterator[Written]:
    """Each cpu env of the programs' framework whose virtual environment is here, in the order of the matrix."""
    programs = [step for step in steps if step.kind == "program" or (step.kind == "check" and "import" in step.text)]
    text = "\n".join(step.text for step in programs)
    for env in envs:
        venv = state_dir(setting.root) / "venvs" / env.name
        series = "torch" if env.series == "torch" else "tf"
        if env.variant != "cpu" or not _IMPORTS[series].search(text) or not (venv / "bin" / "python").exists():
            continue
        there = replace(setting, make=partial(in_a_folder, setting, partial(EnvWorld, venv=venv.resolve())))
        try:
            with player(there, guide.file.name) as live:
                said = verdict(live.play(programs, env.python, ""))
        except DlmatrixError:  # what is known of the guide is not to be lost for one look
            continue
        yield Written(env=env.name, works=said.kind == "works", words=said.words)
