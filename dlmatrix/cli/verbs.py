"""All verbs: what stands here is loaded for ``--help`` too, so that each imports what it does when it is called."""

from __future__ import annotations

from dlmatrix.cli import (
    audit,
    bases,
    bundle,
    cache,
    closure,
    compare,
    doctor,
    fleet,
    guides,
    lock,
    page,
    pin,
    plan,
    record,
    replay,
    reproduce,
    run,
    unbundle,
)
from dlmatrix.cli import list as cells
from dlmatrix.cli.parser import Parser

#: In the order of ``--help``.
VERBS = (
    cells,
    plan,
    run,
    fleet,
    page,
    bases,
    cache,
    doctor,
    reproduce,
    bundle,
    unbundle,
    audit,
    guides,
    replay,
    compare,
    lock,
    pin,
    closure,
    record,
)


def make_parser() -> Parser:
    """The whole command line."""
    parser = Parser(prog="dlmatrix", description="Deep-learning environments: built, verified, measured.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for verb in VERBS:
        verb.add(verbs)
    return parser
