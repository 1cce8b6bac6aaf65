"""The verb ``guides``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dlmatrix.cli.parser import Verbs
from dlmatrix.cli.replay import Way, add_way, carried_out, exit_code, setting_of
from dlmatrix.errors import EXIT_SKIPPED, SkippedEnv, UsageError

#: For which Python the commands are resolved that the project knows.
_PYTHON = "3.11"
#: What is asked of them as it is of a replay.
_OF_BOTH = ("python", "pip", "budget")


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser(
        "guides", help="what guides' install commands bring today; FOLDER: whether its guides work"
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help=f"replay every guide in it, each as replay does (without one: install commands, for Python {_PYTHON})",
    )
    add_way(parser)
    parser.set_defaults(verb=check_guides)


def check_guides(*, folder: Path | None, report: Path | None, json: bool, **options: Any) -> int:
    """Resolve guides' install commands, or replay the guides of a folder: 1 where one is not as it should be."""
    way = Way(**options)
    if folder is not None:
        return _replayed(folder, way, report, json)
    fields = [one for one in dataclasses.fields(way) if one.name not in _OF_BOTH]
    given = [one.name for one in fields if getattr(way, one.name) != one.default] + (["report"] if report else [])
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{option}: nothing is replayed without a folder", "python -m dlmatrix guides FOLDER")
    return _resolved(way, json)


def _resolved(way: Way, json: bool) -> int:
    """Resolve the commands that the project knows in a clean environment; 1 where one brings something else."""
    import os

    from dlmatrix.cli.output import make_console, say
    from dlmatrix.guides.resolve import check_installs
    from dlmatrix.matrix.site import read_site
    from dlmatrix.report.write import dumps
    from dlmatrix.system.working import working

    setting = setting_of(read_site(os.environ), way.budget, lambda line: None)
    console, findings = make_console(soft_wrap=True), []
    with working(setting.root):
        for finding in check_installs(setting, way.python or _PYTHON, way.pip):
            findings.append(finding)
            if not json:
                console.print(
                    f"{finding.outcome:<8} {finding.command}\n         {finding.found}\n         {finding.reason}"
                )
    if json:
        say(dumps({"commands": [dataclasses.asdict(finding) for finding in findings]}).rstrip())
    return _worst({"failed": 1, "skipped": EXIT_SKIPPED}.get(finding.outcome, 0) for finding in findings)


def _replayed(folder: Path, way: Way, report: Path | None, json: bool) -> int:
    """Replay the guides of a folder one after the other; 1 where one is broken, 77 where one could not be judged."""
    import datetime

    from rich.table import Table

    from dlmatrix.cli.output import make_console, say
    from dlmatrix.report.folder import report_folder
    from dlmatrix.report.write import dumps
    from dlmatrix.system.checkout import find_root

    top = report_folder(find_root(), report, datetime.datetime.now().astimezone())
    shown, codes, documents = Table("guide", "verdict", header_style="bold"), list[int](), list[dict[str, Any]]()
    try:
        for name, document, code in _ends(folder, way, top, quiet=json):
            shown.add_row(name, document["words"])
            codes.append(code)
            documents.append({"name": name, **document})
    finally:  # Ctrl-C and a full disk too leave what had come out until then
        if codes and json:
            say(dumps({"guides": documents}).rstrip())
        elif codes:
            make_console().print(shown)
            say(f"reports: {top}")
    if not codes:
        raise UsageError(f"{folder}: no guide in it", "name a folder that has guides: Markdown, HTML, notebooks, text")
    return _worst(codes)


def _ends(folder: Path, way: Way, top: Path, *, quiet: bool) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Each guide of a folder with what came of it and its exit code, as it ends."""
    from dlmatrix.cli.output import say
    from dlmatrix.guides.classify import NO_STEP
    from dlmatrix.guides.read.guide import read_guide
    from dlmatrix.guides.steps import read_steps

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    for name, file in _guides(folder):
        try:
            guide = read_guide(file)
            reading = read_steps(guide, way.branch)
            if all(step.kind in NO_STEP for step in reading.steps):
                tell(f"{name}: not a guide, it tells its reader to do nothing\n")
                continue
            outcome, document, _ = carried_out(guide, reading, way, top / name, tell)
            code = exit_code(outcome)
        except (SkippedEnv, UsageError) as error:  # the others can be looked at all the same
            words = f"could not look: {error.message.removeprefix('could not look: ')}"
            document, code = {"verdict": "could not look", "words": words}, EXIT_SKIPPED
            tell(f"{name}: {words}")
        tell("")
        yield name, document, code


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
