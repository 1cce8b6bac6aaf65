"""What gives machines their checks: Ansible for labs, Slurm for clusters, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from dlmatrix.fleet.row import Row


class Carrier(Protocol):
    """The engine that a site already has."""

    def submit(self, rows: Sequence[Row], *, again: bool) -> None:
        """Begin with these machines, or go on where they are; returns at once.

        ``again`` where checks whose end was never written are to be started over: the first time of each command.
        Nothing that is under way, or ended with a result, is ever started a second time. Raises EngineError where
        the engine itself cannot be used.
        """

    def look(self) -> Mapping[str, Row]:
        """How the submitted machines stand that changed since the last look, by name; waits for a moment.

        Raises EngineError where the engine itself failed: then nothing is known of the machines that are moving.
        """

    def over(self) -> bool:
        """Whether a further look would show nothing new."""

    def stop(self, rows: Sequence[Row]) -> Mapping[str, Row]:
        """End the checks of these machines there, and how each stands then."""

    def leave(self) -> None:
        """Let go of everything that runs here, and of nothing that runs there."""
