"""The verb ``record``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlmatrix.cli.output import say
from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("record", help="take reports of Docker runs into docs/matrix.md")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.set_defaults(verb=record_reports)


def record_reports(*, reports: Sequence[Path]) -> int:
    """Take reports into the committed table."""
    from dlmatrix.matrix.load import load_matrix
    from dlmatrix.system.checkout import find_root, own_checkout
    from dlmatrix.upkeep.measured import record

    taken = record(load_matrix(own_checkout(find_root())), reports)
    for name in taken:
        say(name)
    if not taken:
        say("nothing was taken: only runs on a Docker engine count, and none that is older than what stands there")
    return 0
