"""The verb ``audit``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import EXIT_SKIPPED, SkippedEnv


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("audit", help="known vulnerabilities of what an env's lock names")
    parser.add_argument("envs", nargs="+", metavar="ENV", help="cpu-torch-2.13, or cpu-torch for the newest")
    parser.set_defaults(verb=audit_envs)


def audit_envs(*, envs: Sequence[str]) -> int:
    """Report each env's known vulnerabilities; returns 0, or 77 where those of one distribution could not be learnt."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.matrix.load import load_matrix, lock_of, select
    from dlmatrix.matrix.model import Status
    from dlmatrix.matrix.site import read_site
    from dlmatrix.system.checkout import find_root
    from dlmatrix.upkeep.audit import audit

    matrix = load_matrix(find_root())
    site = read_site(os.environ)
    console = make_console(soft_wrap=True)
    code = 0
    for env in select(matrix, envs):
        try:
            if env.status is Status.IMPOSSIBLE:
                raise SkippedEnv(env.reason)
            told = audit(lock_of(matrix, env), site, os.environ)
        except SkippedEnv as reason:
            console.print(f"{env.name}: skipped: {reason}")
            code = EXIT_SKIPPED
            continue
        console.print(f"{env.name}: {len(told.found)} of {told.audited} distributions have known vulnerabilities")
        for name, advisories in told.found.items():
            console.print(f"  {name}: {', '.join(advisories)}")
        for name, version in told.as_public.items():
            console.print(f"  {name}: asked for as {version}, since local versions are not known")
        for name, why in told.unknown.items():
            console.print(f"  not audited: {name}: {why}")
            code = EXIT_SKIPPED
    return code
