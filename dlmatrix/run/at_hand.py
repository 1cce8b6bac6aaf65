"""Which env a session's name stands for in a virtual environment, whose Python must be on this machine.

The newest of the session, if its Python is here or uv can bring it; else the newest whose Python is here; else one
whose lock is whole for the Python that is here. Where nothing of the session can run, and nothing else was asked for,
it is another cpu env, chosen alike: something runs, and is called by its name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import DlmatrixError
from dlmatrix.matrix.load import SERIES, lock_of, versions_of
from dlmatrix.matrix.model import Env, Matrix, Status
from dlmatrix.system.process import Say

#: The Python that this runs on.
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True, kw_only=True)
class AtHand:
    """Chooses among the envs of a matrix by the Pythons of this machine."""

    matrix: Matrix
    pythons: Pythons

    def here(self, env: Env) -> bool:
        """Whether the env's Python is on this machine."""
        return self.pythons.find(self.matrix.root, env.python) is not None

    def choose(self, names: Sequence[str], envs: Sequence[Env], say: Say) -> tuple[Env, ...]:
        """``envs``, which the names stand for, with others instead of those that cannot run; each is told why."""
        stands = [env.session in names and env.name not in names for env in envs]
        return tuple(
            self._instead(env, len(envs) == 1, say) if chosen else env for env, chosen in zip(envs, stands, strict=True)
        )

    def _instead(self, env: Env, alone: bool, say: Say) -> Env:
        if env.status is Status.IMPOSSIBLE or self.here(env):
            return env
        why = self.pythons.bring(self.matrix.root, env.python, say)
        if not why:
            say(f"{env.session}: Python {env.python} is here now: uv has brought it")
            return env
        why = f"{env.name} needs Python {env.python}, which is not here, and uv could not bring it: {why}"
        others = _newest_first(self.matrix) if alone and env.variant == "cpu" else ()
        for among in (versions_of(self.matrix, env.session)[::-1], others):
            if found := next(self._that_run(among), None):
                say(f"{env.session}: takes {found.name} on Python {found.python} ({why})")
                return found
        say(f"{env.session}: no other env can run on Python {OWN} either")
        return env

    def _that_run(self, envs: Sequence[Env]) -> Iterator[Env]:
        yield from filter(self.here, envs)
        for env in envs if self.pythons.find(self.matrix.root, OWN) else ():
            try:
                lock = lock_of(self.matrix, env)
            except DlmatrixError:  # the env's own fault is told where it is asked for
                continue
            if not self.pythons.fits(self.matrix.root, lock, OWN):
                yield replace(env, python=OWN)


def _newest_first(matrix: Matrix) -> list[Env]:
    """The supported cpu envs, series by series."""
    envs = [env for env in reversed(matrix.envs) if (env.variant, env.status) == ("cpu", Status.SUPPORTED)]
    return sorted(envs, key=lambda env: SERIES.index(env.series))
