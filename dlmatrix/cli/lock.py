"""The verb ``lock``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dlmatrix.cli.output import say, tell_changed
from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("lock", help="regenerate locks with the pinned uv; show what would change")
    parser.add_argument("envs", nargs="*", metavar="ENV", help="an env, or tools for the project's own tools")
    parser.add_argument("--write", action="store_true", help="write what changed")
    parser.set_defaults(verb=lock_envs)


def lock_envs(*, envs: Sequence[str], write: bool) -> int:
    """Regenerate locks; 1 where a lock would change and ``--write`` was not given."""
    import uv

    from dlmatrix.matrix.load import load_matrix
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.checkout import find_root
    from dlmatrix.upkeep.relock import Locker

    locker = Locker(matrix=load_matrix(find_root()), site=read_site(os.environ), uv=uv.find_uv_bin())
    return tell_changed(locker.relock(envs, write=write, say=say), write)
