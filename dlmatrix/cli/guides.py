"""The verb ``guides``."""

from __future__ import annotations

from dlmatrix.cli.parser import Verbs, check_version
from dlmatrix.errors import EXIT_SKIPPED


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("guides", help="what the install commands of guides would install today")
    parser.add_argument("--python", default="3.11", metavar="VERSION", help="for which Python (default: 3.11)")
    parser.set_defaults(verb=check_guides)


def check_guides(*, python: str) -> int:
    """Resolve guides' install commands in a clean environment; 1 where one does something else than is known."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.guides.resolve import check_extra_index, check_installs

    check_version("--python", python)
    console = make_console(soft_wrap=True)
    findings = (*check_installs(python), *check_extra_index(python))
    for finding in findings:
        console.print(f"{finding.outcome:<8} {finding.command}\n         {finding.found}\n         {finding.reason}")
    outcomes = {finding.outcome for finding in findings}
    return 1 if "failed" in outcomes else EXIT_SKIPPED if "skipped" in outcomes else 0
