"""The verb ``reproduce``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlmatrix.cli.parser import Verbs, add_bases
from dlmatrix.errors import EXIT_SKIPPED, UsageError

if TYPE_CHECKING:
    from dlmatrix.engines.docker.engine import DockerEngine
    from dlmatrix.inspection.digests import Record
    from dlmatrix.matrix.model import Matrix
    from dlmatrix.system.process import Say
    from dlmatrix.upkeep.reproduce import Thing


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
    way.add_argument(
        "--against-bundle", type=Path, metavar="FILE", help="build once of a bundle's wheels, compare with its images"
    )
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="with --against-bundle: the public key of whoever signed it"
    )
    add_bases(parser)
    parser.set_defaults(verb=reproduce)


def reproduce(
    *,
    things: Sequence[str],
    write: bool,
    against_image: bool,
    against_record: bool,
    against_bundle: Path | None,
    key: Path | None,
    bases: str,
) -> int:
    """Rebuild the named envs, one verdict a line; returns the first failure's exit code, else 77 for a skip."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.engines.docker.engine import connect
    from dlmatrix.inspection import digests
    from dlmatrix.matrix.load import load_sound
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.checkout import find_root, own_checkout
    from dlmatrix.system.working import working
    from dlmatrix.upkeep.reproduce import Rebuilding, things_of, write_proven

    if key and not against_bundle:
        raise UsageError("--key is for --against-bundle", "name the bundle: --against-bundle FILE")
    matrix = load_sound(own_checkout(find_root()) if write else find_root())
    named = [thing for name in things for thing in things_of(matrix, name)]
    console = make_console(soft_wrap=True)
    records: Mapping[str, Record] = digests.read_records(matrix.root)
    if against_bundle:
        records = _of_bundle(matrix, against_bundle, key, named, console.print)
    engine = connect(read_site(os.environ), bases)
    made = engine.images.made_with()
    console.print(f"builder: BuildKit {made.buildkit}, {made.store} image store, {made.platform}")
    if made.store == "classic":
        console.print("the classic image store knows no manifest digest: config digest and layers are compared")
    with working(matrix.root) as folder, Rebuilding(engine, matrix, made, console.print, folder.name) as work:
        if against_bundle:
            _load_bases(engine, matrix, named, console.print)
        once = against_record or against_bundle
        way = work.against_record if once else work.against_image if against_image else work.twice
        verdicts = way(named, records)
        if write and work.proven:
            console.print(f"wrote {write_proven(matrix.root, work, records)}")
    codes = [verdict.exit_code for verdict in verdicts]
    return next((code for code in codes if code not in (0, EXIT_SKIPPED)), max(codes))


def _of_bundle(matrix: Matrix, file: Path, key: Path | None, named: Sequence[Thing], say: Say) -> Mapping[str, Record]:
    """Have builds take a bundle's wheels; returns what the images in it are."""
    from dlmatrix.bundle.use import use_bundle
    from dlmatrix.matrix.model import Env

    envs = [thing for thing in named if isinstance(thing, Env)]
    if len(envs) < len(named):
        raise UsageError("--against-bundle: a bundle has what envs are built of, and bases only whole", "name envs")
    return use_bundle(matrix, file, envs, say, key)


def _load_bases(engine: DockerEngine, matrix: Matrix, named: Sequence[Thing], say: Say) -> None:
    from dlmatrix.engines.docker.bundled import load_base

    for thing in named:
        load_base(engine, matrix.root, matrix.base(thing.python), say)
