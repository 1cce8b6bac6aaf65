"""The verb ``guides``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dlmatrix.cli.parser import Verbs, check_version
from dlmatrix.errors import EXIT_SKIPPED, SkippedEnv, UsageError

#: For which Python the commands are resolved that the project knows.
_PYTHON = "3.11"


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser(
        "guides", help="what guides' install commands bring today; FOLDER: whether its guides work"
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="replay every guide in it")
    parser.add_argument(
        "--python", metavar="VERSION", help=f"for which Python (default: {_PYTHON}; with FOLDER each guide's own)"
    )
    parser.add_argument("--no-search", action="store_true", help="with FOLDER: stop at the first break of each guide")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="with FOLDER: a new folder for a report of each guide"
    )
    parser.set_defaults(verb=check_guides)


def check_guides(*, folder: Path | None, python: str | None, no_search: bool, report: Path | None) -> int:
    """Resolve guides' install commands, or replay the guides of a folder: 1 where one is not as it should be."""
    check_version("--python", python)
    if folder is not None:
        return _replayed(folder, python, no_search, report)
    for option, given in (("--no-search", no_search), ("--report", report)):
        if given:
            raise UsageError(f"{option}: nothing is replayed without a folder", "python -m dlmatrix guides FOLDER")
    return _resolved(python or _PYTHON)


def _resolved(python: str) -> int:
    """Resolve the commands that the project knows in a clean environment; 1 where one brings something else."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.guides.resolve import check_extra_index, check_installs

    console = make_console(soft_wrap=True)
    findings = (*check_installs(python), *check_extra_index(python))
    for finding in findings:
        console.print(f"{finding.outcome:<8} {finding.command}\n         {finding.found}\n         {finding.reason}")
    return _worst({"failed": 1, "skipped": EXIT_SKIPPED}.get(finding.outcome, 0) for finding in findings)


def _replayed(folder: Path, python: str | None, no_search: bool, report: Path | None) -> int:
    """Replay the guides of a folder one after the other; 1 where one is broken, 77 where one could not be judged."""
    import datetime

    from rich.table import Table

    from dlmatrix.cli.output import make_console, say
    from dlmatrix.report.folder import report_folder
    from dlmatrix.system.checkout import find_root

    top = report_folder(find_root(), report, datetime.datetime.now().astimezone())
    shown, codes = Table("guide", "verdict", header_style="bold"), []
    try:
        for name, words, code in _ends(folder, python, no_search, top):
            shown.add_row(name, words)
            codes.append(code)
    finally:  # Ctrl-C and a full disk too leave what had come out until then
        if codes:
            make_console().print(shown)
            say(f"reports: {top}")
    if not codes:
        raise UsageError(f"{folder}: no guide in it", "name a folder that has guides: Markdown, HTML, notebooks, text")
    return _worst(codes)


def _ends(folder: Path, python: str | None, no_search: bool, top: Path) -> Iterator[tuple[str, str, int]]:
    """Each guide of a folder with its verdict and its exit code, as it ends."""
    from dlmatrix.cli.output import say
    from dlmatrix.cli.replay import BUDGET_SECONDS, carried_out, exit_code
    from dlmatrix.guides.classify import NO_STEP
    from dlmatrix.guides.outcome import words_of
    from dlmatrix.guides.read.guide import read_guide
    from dlmatrix.guides.steps import read_steps

    for name, file in _guides(folder):
        try:
            guide = read_guide(file)
            reading = read_steps(guide)
            if all(step.kind in NO_STEP for step in reading.steps):
                say(f"{name}: not a guide, it tells its reader to do nothing\n")
                continue
            outcome, *_ = carried_out(
                guide, reading, python, "", "", "venv", no_search, BUDGET_SECONDS, top / name, say
            )
            ended = name, words_of(outcome), exit_code(outcome)
        except (SkippedEnv, UsageError) as error:  # the others can be looked at all the same
            ended = name, f"could not look: {error.message.removeprefix('could not look: ')}", EXIT_SKIPPED
            say(": ".join(ended[:2]))
        say("")
        yield ended


def _guides(folder: Path) -> list[tuple[str, Path]]:
    """The pages of a folder and of those in it, by their names in it; what is hidden is nobody's page."""
    from dlmatrix.guides.read.decode import SUFFIXES

    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", "name a folder; a single guide: python -m dlmatrix replay GUIDE")
    inside = ((file.relative_to(folder), file) for file in sorted(folder.rglob("*")))
    return [
        (str(name), file)
        for name, file in inside
        if file.suffix.lower() in (*SUFFIXES, ".txt") and not any(part.startswith(".") for part in name.parts)
    ]


def _worst(codes: Iterable[int]) -> int:
    """1 before 77 before 0."""
    found = set(codes)
    return 1 if 1 in found else EXIT_SKIPPED if EXIT_SKIPPED in found else 0
