"""Replays a guide as it is: its steps in an empty world, and what that says of it."""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dlmatrix.engines.pythons import Pythons
from dlmatrix.guides.classify import ONLY_GPU, RUN, project, requirements
from dlmatrix.guides.edits import projects
from dlmatrix.guides.gateway import without_passwords
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.names import tree_of
from dlmatrix.guides.play import IMPLIED, Player
from dlmatrix.guides.steps import Reading
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Site
from dlmatrix.system.process import Say
from dlmatrix.system.working import scratch


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where replays are made: the checkout, the site's indexes, this machine's Pythons, and until when."""

    root: Path
    site: Site
    pythons: Pythons
    say: Say
    until: float
    #: what every installation is held to
    held: tuple[str, ...] = ()
    #: makes a world where it is no folder of this machine
    make: Callable[[], contextlib.AbstractContextManager[World]] | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a replay says of a guide, and in words."""

    kind: str
    words: str


@contextlib.contextmanager
def player(setting: Setting, name: str, tell: Callable[[Played], None] = lambda one: None) -> Iterator[Player]:
    """A player of the guide of that name, in a new world, which is gone afterwards.

    Raises SkippedEnv where none can be made.
    """
    with (setting.make or partial(in_a_folder, setting))() as world:
        world.constraints += setting.held
        yield Player(world, setting.site, tell, name=name, until=setting.until)


@contextlib.contextmanager
def in_a_folder(setting: Setting, kind: Callable[..., World] = World) -> Iterator[World]:
    """A world of a kind on this machine, in a folder that is gone afterwards."""
    with scratch(setting.root) as folder, without_passwords(setting.site) as site:
        yield kind(folder / "world", root=setting.root, site=site, pythons=setting.pythons, say=setting.say)


def with_implied(guide: Guide, reading: Reading) -> tuple[Step, ...]:
    """The steps, after an installation of what the programs import where the guide names none: see causes.toml."""
    steps = _installed_first(reading.steps)
    told = any(
        step.kind == "install"
        or (step.kind == "hole" and step.form == "shell")
        or (step.why == ONLY_GPU and requirements(step.text))
        for step in steps
    )
    if told and guide.format != "notebook":
        return steps
    text = " ".join(step.text for step in steps if step.kind == "install")
    wanted = [
        found
        for module in _imported(steps)
        if (found := projects().get(module)) and not re.search(rf"\b{re.escape(found)}\b", text)
    ]
    if "keras" in wanted and not _BACKENDS & {*_imported(steps), *map(project, text.split())}:
        wanted.append("tensorflow")
    programs = [n for n, step in enumerate(steps) if step.kind == "program" and step.form != "shell"]
    if not wanted or not programs:
        return steps
    implied = Step(text=f"pip install {' '.join(wanted)}", kind="install", line=steps[programs[0]].line, why=IMPLIED)
    return (*steps[: programs[0]], implied, *steps[programs[0] :])


#: What Keras 3 runs on; who writes of Keras alone has one.
_BACKENDS = {"tensorflow", "torch", "jax"}


def _installed_first(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, programs put behind the installation of what they import.

    Many a page shows first what its project does and tells below how to install it.
    """
    brought: dict[str, int] = {}
    for number, step in enumerate(steps):
        for one in requirements(step.text) if step.kind == "install" else ():
            brought.setdefault(project(one), number)
    ordered: list[Step] = []
    waiting: dict[int, list[Step]] = {}
    until: dict[int, int] = {}
    for number, step in enumerate(steps):
        if step.kind == "program" and step.session:
            needed = max((brought.get(_project(module), 0) for module in _imported([step])), default=0)
            until[step.session] = max(needed, until.get(step.session, 0))
            if until[step.session] > number:
                waiting.setdefault(until[step.session], []).append(step)
                continue
        ordered.append(step)
        ordered += waiting.pop(number, [])
    return tuple(ordered)


def _project(module: str) -> str:
    return project(projects().get(module, module))


def _imported(steps: Sequence[Step]) -> list[str]:
    found: dict[str, None] = {}
    for step in steps:
        if step.kind == "program" and step.form != "shell":
            for node in ast.walk(tree_of(step.text)):
                if isinstance(node, ast.Import):
                    found |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found[node.module.partition(".")[0]] = None
    return [name for name in found if name not in sys.stdlib_module_names]


def verdict(replay: Replay) -> Verdict:
    """What a replay says: works, works in translation, broken, not judged, or could not look."""
    if replay.blind:
        return Verdict(kind="could not look", words=f"could not look: {replay.blind}")
    if broken := replay.first_break:
        line = broken.line or broken.step.line
        return Verdict(kind="broken", words=f"broken at line {line}: {broken.reason}")
    ran = [one for one in replay.played if one.step.kind in RUN]
    passed = [one for one in ran if one.outcome == "passed"]
    stop = replay.unjudged
    if stop:
        beyond = "" if not passed else f" beyond line {stop.step.line}"
        return Verdict(kind="not judged", words=f"not judged{beyond}: {stop.reason}")
    if not any(one.step.kind in ("install", "check", "program") for one in passed):
        other = next((one for one in replay.played if one.outcome == "unjudged"), None)
        return Verdict(
            kind="not judged", words=f"not judged: {other.reason if other else 'it has no step to carry out'}"
        )
    translated = any(not note.startswith(("conda", "virtualenv", "--user")) for one in passed for note in one.notes)
    kind = "works in translation" if translated else "works"
    left = [one for one in replay.played if one.outcome == "unjudged"]
    beside = f", but for what could not be judged at line {', '.join(str(one.step.line) for one in left)}"
    return Verdict(kind=kind, words=kind + (beside if left else ""))


def seconds_from_now(seconds: float) -> float:
    """A time of the clock that replays are held to."""
    return time.monotonic() + seconds
