"""The verb ``page``."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.cli.parser import Verbs
from dlmatrix.errors import ReportError


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("page", help="write the page of a report once more, from its result.json")
    parser.add_argument("report", type=Path, metavar="DIR", help="a folder that run or replay wrote")
    parser.set_defaults(verb=write_page)


def write_page(*, report: Path) -> int:
    """Write report.html of a report once more, from its result.json: for what an older version wrote."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.document.result import FILE, REPLAY, RUN, read_result
    from dlmatrix.report import history
    from dlmatrix.report.page import replay_html, report_html
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.files import replace

    result = read_result(report, (RUN, REPLAY))
    try:
        if result.kind == REPLAY:
            page = replay_html(result.text)
        else:
            page = report_html(result.text, history.read(find_root()), result.folder)
    except Exception as error:  # noqa: BLE001 - whatever the libraries that draw make of a figure
        # What smoke wrote is of as many forms as it had versions.
        raise ReportError(f"{result.folder / FILE}: cannot be drawn ({error!r})", "run it again") from None
    file = (report if report.is_dir() else report.parent) / "report.html"
    replace(file, page)
    make_console(soft_wrap=True).print(f"page: {file}")
    return 0
