"""The verb ``bases``."""

from __future__ import annotations

from collections.abc import Sequence

from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import EXIT_SKIPPED, UsageError


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("bases", help="make bases from Debian packages, where no registry can be reached")
    parser.add_argument("pythons", nargs="*", metavar="VERSION", help="3.11, … (default: those of the supported envs)")
    parser.set_defaults(verb=make_bases)


def make_bases(*, pythons: Sequence[str]) -> int:
    """Make the Debian bases for the named Pythons; 77 where not all of them could be made."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.matrix.load import load_matrix
    from dlmatrix.matrix.model import Status
    from dlmatrix.system.checkout import find_root
    from dlmatrix.upkeep import bases

    matrix = load_matrix(find_root())
    known = {base.python: base for base in matrix.bases}
    wanted = pythons or sorted({env.python for env in matrix.envs if env.status is Status.SUPPORTED})
    for python in wanted:
        if python not in known:
            raise UsageError(f"there is no base for Python {python}", f"known: {', '.join(known)}")
    console = make_console(soft_wrap=True)
    skipped = bases.make_bases(matrix.root, [known[python] for python in wanted], console.print)
    for line in skipped:
        console.print(f"skipped: {line}")
    return EXIT_SKIPPED if skipped else 0
