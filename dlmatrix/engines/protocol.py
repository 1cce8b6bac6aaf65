"""What runs an env: a Docker engine, Apptainer, a local virtual environment, or an interpreter the user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.process import Say


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What an engine made ready, or found up to date."""

    #: an image id, or the path of a SIF file or of an interpreter
    what: str
    built: bool
    seconds: float
    #: what the report says about it: base, image size in bytes, …
    facts: Mapping[str, str | int] = field(default_factory=dict)
    #: what each layer adds, in bytes, unpacked, the base's first: {"step": …, "bytes": …}
    layers: tuple[Mapping[str, str | int], ...] = ()
    #: checks of the whole, made from outside, in the form of those made inside
    checks: tuple[Mapping[str, Any], ...] = ()
    #: the bill of materials, as CycloneDX JSON
    sbom: str = ""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How ``python -m smoke`` ended inside the env."""

    exit_code: int
    stdout: bytes
    #: seconds from the call until the process had been started
    start_seconds: float
    #: which GPUs it was given, and in which way; "" where none
    gpus: str = ""
    killed_for_memory: bool = False
    timed_out: bool = False
    #: what it said where no folder for temporary files could be made
    no_room: str = ""


class Engine(Protocol):
    """The small interface that every engine has."""

    name: str
    #: whether it holds an env to limits of its own, apart from this machine, so that the cost of that can be measured
    contains: bool
    #: how many envs ``prepare`` may be called for at the same time
    builds_at_once: int

    def about(self) -> dict[str, str]:
        """Versions and places, for the report."""

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        """Build what the plan describes, or find it up to date."""

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        """Run the checks; every line of their progress goes to ``say``. Leaves nothing behind."""

    def place(self, plan: Plan) -> Place | None:
        """Where a prepared env's files are, to look at them; None for what is somebody else's and may change."""
