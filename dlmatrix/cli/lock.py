"""The verb ``lock``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dlmatrix.cli.output import say, tell_changed
from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import EXIT_SKIPPED


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("lock", help="regenerate locks with the pinned uv; show what would change")
    parser.add_argument("envs", nargs="*", metavar="ENV", help="an env, or tools, fleet, machine: the project's own")
    parser.add_argument("--write", action="store_true", help="write what changed")
    parser.set_defaults(verb=lock_envs)


def lock_envs(*, envs: Sequence[str], write: bool) -> int:
    """Regenerate locks; 1 where a lock would change and ``--write`` was not given, else 77 where an env has none."""
    import uv

    from dlmatrix.matrix.load import load_matrix, select
    from dlmatrix.matrix.model import Status
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.checkout import find_root, own_checkout
    from dlmatrix.upkeep.relock import PROJECT, Locker

    root = find_root()
    if write or not envs or PROJECT.keys() & set(envs):  # their requirements, in pyproject.toml, are in a checkout only
        root = own_checkout(root)
    matrix = load_matrix(root)
    asked = select(matrix, [name for name in envs if name not in PROJECT])
    locker = Locker(matrix=matrix, site=read_site(os.environ), uv=uv.find_uv_bin())
    code = tell_changed(locker.relock(envs, write=write, say=say), write)
    return code or (EXIT_SKIPPED if any(env.status is Status.IMPOSSIBLE for env in asked) else 0)
