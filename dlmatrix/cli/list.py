"""The verb ``list``."""

from __future__ import annotations

import json

from dlmatrix.cli.output import say
from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import ConfigError


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("list", help="the cells of the matrix")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="for machines")
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown", help="that of docs/envs.md")
    parser.set_defaults(verb=list_envs)


def list_envs(*, form: str | None) -> int:
    """Show every cell, with what is known about it.

    Raises ConfigError, for people after the others, for a file that is not understood, or that its lock is not of.
    """
    from dlmatrix.matrix.cells import as_json, as_markdown
    from dlmatrix.matrix.load import load_sound, wrong_locks
    from dlmatrix.system.checkout import find_root

    matrix = load_sound(find_root())
    envs, wrong = matrix.envs, [*matrix.broken.values(), *wrong_locks(matrix)]
    if form and wrong:
        raise wrong[0]
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
    if wrong:
        what = "\n".join(dict.fromkeys(error.message for error in wrong))
        raise ConfigError(what, "\n        ".join(dict.fromkeys(error.next_step for error in wrong)))
    return 0
