"""The verb ``pin``."""

from __future__ import annotations

from dlmatrix.cli.output import say, tell_changed
from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("pin", help="refresh the bases' digests from their registry; show what would change")
    parser.add_argument("--write", action="store_true", help="write what changed")
    parser.set_defaults(verb=pin_bases)


def pin_bases(*, write: bool) -> int:
    """Refresh digests; 1 where one would change and ``--write`` was not given."""
    from dlmatrix.system.checkout import find_root, own_checkout
    from dlmatrix.upkeep.pin import pin

    root = own_checkout(find_root()) if write else find_root()
    return tell_changed(pin(root, write=write, say=say), write)
