"""The verb ``reproduce``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dlmatrix.cli.parser import Verbs, add_bases
from dlmatrix.errors import EXIT_SKIPPED


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("reproduce", help="build twice from nothing and compare the digests")
    parser.add_argument(
        "things", nargs="+", metavar="ENV", help="cpu-torch-2.13, cpu-torch for the newest, or base-3.11"
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--write", action="store_true", help="record in envs/digests.toml what was the same twice")
    way.add_argument("--against-image", action="store_true", help="build once, and compare with what run has built")
    way.add_argument("--against-record", action="store_true", help="build once, and compare with envs/digests.toml")
    add_bases(parser)
    parser.set_defaults(verb=reproduce)


def reproduce(*, things: Sequence[str], write: bool, against_image: bool, against_record: bool, bases: str) -> int:
    """Rebuild the named envs, one verdict a line; returns the first failure's exit code, else 77 for a skip."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.engines.docker.engine import connect
    from dlmatrix.inspection import digests
    from dlmatrix.matrix.load import load_sound
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.checkout import find_root, own_checkout
    from dlmatrix.system.working import working
    from dlmatrix.upkeep.reproduce import Rebuilding, things_of, write_proven

    matrix = load_sound(own_checkout(find_root()) if write else find_root())
    named = [thing for name in things for thing in things_of(matrix, name)]
    records = digests.read_records(matrix.root)
    engine = connect(read_site(os.environ), bases)
    console = make_console(soft_wrap=True)
    made = engine.images.made_with()
    console.print(f"builder: BuildKit {made.buildkit}, {made.store} image store, {made.platform}")
    if made.store == "classic":
        console.print("the classic image store knows no manifest digest: config digest and layers are compared")
    with working(matrix.root) as folder, Rebuilding(engine, matrix, made, console.print, folder.name) as work:
        way = work.against_record if against_record else work.against_image if against_image else work.twice
        verdicts = way(named, records)
        if write and work.proven:
            console.print(f"wrote {write_proven(matrix.root, work, records)}")
    codes = [verdict.exit_code for verdict in verdicts]
    return next((code for code in codes if code not in (0, EXIT_SKIPPED)), max(codes))
