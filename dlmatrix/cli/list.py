"""The verb ``list``."""

from __future__ import annotations

import json

from dlmatrix.cli.output import say
from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("list", help="the cells of the matrix")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="for machines")
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown", help="that of docs/envs.md")
    parser.set_defaults(verb=list_envs)


def list_envs(*, form: str | None) -> int:
    """Show every cell, with what is known about it. Raises ConfigError, after the others, for a file not understood."""
    from dlmatrix.matrix.cells import as_json, as_markdown
    from dlmatrix.matrix.load import load_matrix, load_sound
    from dlmatrix.system.checkout import find_root

    matrix = load_sound(find_root()) if form is None else load_matrix(find_root())
    envs = matrix.envs
    if form == "json":
        print(json.dumps([as_json(env) for env in envs], indent=1))
        return 0
    if form == "markdown":
        say(as_markdown(envs))
        return 0
    from rich.table import Table

    from dlmatrix.cli.output import make_console

    shown = Table(header_style="bold")
    for column in ("env", "framework", "Python", "status"):
        shown.add_column(column)
    for env in envs:
        shown.add_row(env.name, env.version, env.python, ": ".join(filter(None, (env.status.value, env.reason))))
    make_console().print(shown)
    for error in matrix.broken.values():
        raise error
    return 0
