"""The verb ``compare``."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmatrix.cli.output import make_console, say, tell
from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import DlmatrixError, MissingError, ReportError, SlowerError, UsageError

if TYPE_CHECKING:
    from dlmatrix.comparison.reports import Report

_HELP = """\
Two reports: is B the same, faster, slower, or is it unclear? 5 or more, or with --baseline: which machine stands
out among those of its kind (processor, cores, GPUs)? A report is a folder that run wrote, its result.json, or a
folder of such folders."""
_RATES = """\
With nothing changed, at most 1 comparison of two in 20 calls any row FASTER or SLOWER; at most 1 healthy group of
machines in 100 has a machine named. Exit codes: 0 nothing got slower, 15 a report cannot be read, 16 the runs are
unlike, 17 something got slower, or is slower than its siblings, 18 a figure is missing, 1 several of these."""


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser(
        "compare", help="two reports, or the reports of many machines", description=_HELP, epilog=_RATES
    )
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="a folder of reports to hold each REPORT against")
    parser.add_argument("--anyway", action="store_true", help="compare two runs that are unlike, too")
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--html", type=Path, metavar="FILE", help="of two reports: also write a page of it")
    parser.set_defaults(verb=compare_reports)


def compare_reports(
    *, reports: Sequence[Path], baseline: Path | None, anyway: bool, json: bool, html: Path | None
) -> int:
    """Compare and print. Raises SlowerError, MissingError or ReportError once it is printed."""
    from dlmatrix.comparison.reports import read_all
    from dlmatrix.comparison.siblings import FEWEST
    from dlmatrix.run.verdict import read_schema
    from dlmatrix.system.checkout import find_root

    schema = read_schema(find_root())
    found, wrong = read_all(reports, schema)
    if wrong and len(found) < (FEWEST if baseline is None else 1):
        raise wrong[0]
    if baseline is None and len(found) == 1:
        raise UsageError("one report has nothing to be compared with", "name two, or a folder with --baseline DIR")
    if baseline is None and len(found) == 2:
        return _pair(found[0], found[1], anyway=anyway, json=json, html=html)
    if html:
        raise UsageError("--html is for two reports", "name two, without --baseline")
    group, more = ([], []) if baseline is None else read_all([baseline], schema)
    return _many(found, group, [*wrong, *more], json=json)


def _many(reports: Sequence[Report], baseline: Sequence[Report], wrong: Sequence[ReportError], *, json: bool) -> int:
    from dlmatrix.comparison.many import many
    from dlmatrix.comparison.show import many_json, many_lines

    unreadable = tuple((error.message.partition(": ")[0], error.message.partition(": ")[2]) for error in wrong)
    found = replace(many(reports, baseline), unreadable=unreadable)
    _print(many_json(found) if json else many_lines(found))
    outliers = [outlier for one in found.judged for outlier in one.outliers]
    slow = sorted({outlier.report for outlier in outliers if outlier.certain and outlier.distance < 0})
    gone = sorted({absent.report for one in found.judged for absent in one.missing if not absent.unreached})
    return _end(
        f"slower than its siblings: {', '.join(slow)}" if slow else "",
        f"a metric is missing: {', '.join(gone)}" if gone else "",
        f"cannot be read: {', '.join(report for report, _ in unreadable)}" if unreadable else "",
    )


def _pair(a: Report, b: Report, *, anyway: bool, json: bool, html: Path | None) -> int:
    from dlmatrix.comparison.pair import compare
    from dlmatrix.comparison.show import pair_json, pair_lines

    found = compare(a, b, anyway)
    _print(pair_json(found) if json else pair_lines(found))
    if html:
        from dlmatrix.report.page import comparison_html
        from dlmatrix.system.files import replace

        replace(html, comparison_html(found, a.name, b.name))
    slow = [f"{row.env} {row.id} {row.figure} ({row.ratio:.3f})" for row in found.slower()]
    gone = [f"{absent.env} {absent.id}" for absent in found.missing if not absent.unreached]
    return _end(
        f"{b.name} is slower: {', '.join(slow)}" if slow else "",
        f"{b.name} has no figure for {', '.join(gone)}" if gone else "",
    )


def _end(slower: str, missing: str, unreadable: str = "") -> int:
    """0, or the failure that the comparison found, once it is printed."""
    found: list[tuple[type[DlmatrixError], str, str]] = [
        (SlowerError, slower, "see its marks, the processes beside it and its clocks, then measure it again"),
        (MissingError, missing, "see why it was not measured, and run it again"),
        (ReportError, unreadable, "run them again, or leave them out"),
    ]
    told = [one for one in found if one[1]]
    if not told:
        return 0
    kind, _, next_step = told[0]
    raise (kind if len(told) == 1 else DlmatrixError)("; ".join(text for _, text, _ in told), next_step)


def _print(found: dict[str, Any] | Iterable[str]) -> None:
    if isinstance(found, dict):
        say(json_module.dumps(found, indent=1))
        return
    console = make_console()
    for line in found:
        tell(console, line)
