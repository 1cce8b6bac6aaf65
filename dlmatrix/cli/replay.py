"""The verb ``replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmatrix.cli.parser import Verbs, check_version
from dlmatrix.errors import EXIT_SKIPPED, UsageError, shown

if TYPE_CHECKING:
    from dlmatrix.guides.judge import Played
    from dlmatrix.guides.model import Guide
    from dlmatrix.guides.outcome import Outcome
    from dlmatrix.guides.steps import Reading
    from dlmatrix.matrix.model import Matrix
    from dlmatrix.system.process import Say

#: Seconds for all of a replay.
BUDGET_SECONDS = 3600.0


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("replay", help="whether an installation guide still works, and what mends it")
    parser.add_argument("guide", type=Path, metavar="GUIDE", help="Markdown, reStructuredText, HTML, a notebook, text")
    parser.add_argument(
        "--steps", action="store_true", help="show what was read and how it was understood; run nothing"
    )
    parser.add_argument(
        "--branch", default="cpu", metavar="NAME", help="cpu, gpu, or part of a tab's name (default: cpu)"
    )
    parser.add_argument("--python", metavar="VERSION", help="which Python (default: the guide's, else the matrix's)")
    parser.add_argument(
        "--date", default="", metavar="DAY", help="the index as of a day: 2022-05-25 (default: today's)"
    )
    parser.add_argument("--pip", default="", metavar="VERSION", help="which pip (default: the one of that Python)")
    parser.add_argument(
        "--engine", choices=("venv", "docker"), default="venv", help="where its steps are carried out (default: venv)"
    )
    parser.add_argument("--no-search", action="store_true", help="stop at the first break")
    parser.add_argument(
        "--budget", type=float, default=BUDGET_SECONDS, metavar="SECONDS", help="for all of it (default: 3600)"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="a new folder for the report (default: in reports/)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(verb=replay)


def replay(
    *,
    guide: Path,
    steps: bool,
    branch: str,
    python: str | None,
    date: str,
    pip: str,
    engine: str,
    no_search: bool,
    budget: float,
    report: Path | None,
    json: bool,
) -> int:
    """Replay a guide: 0 where it works, 1 where it is broken, 77 where that could not be judged."""
    from dlmatrix.cli.output import say
    from dlmatrix.guides.read.guide import read_guide
    from dlmatrix.guides.show import reading_json, reading_lines
    from dlmatrix.guides.steps import read_steps

    if not budget > 0:  # nan
        raise UsageError(f"--budget {budget:g}: nothing can be done in no time", "leave it out, or give more seconds")
    check_version("--python", python)
    check_version("--pip", pip or None)
    if date:
        _check_day(date)
    read = read_guide(guide)
    reading = read_steps(read, branch)
    if steps:
        for line in [reading_json(read, reading)] if json else reading_lines(read, reading):
            say(line)
        return 0
    tell: Say = (lambda line: None) if json else say
    outcome, data, folder = carried_out(read, reading, python, date, pip, engine, no_search, budget, report, tell)
    if json:
        from dlmatrix.report.write import dumps

        say(dumps(data).rstrip())
    tell(f"report: {folder}")
    return exit_code(outcome)


def exit_code(outcome: Outcome) -> int:
    """0 where a guide works, 1 where it is broken, 77 where that could not be judged."""
    from dlmatrix.document.result import VERDICTS

    return {"passed": 0, "failed": 1}.get(VERDICTS[outcome.kind], EXIT_SKIPPED)


def _check_day(date: str) -> None:
    import datetime

    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        raise UsageError(f"--date {date}: no day", "write it as 2022-05-25") from None


def carried_out(  # noqa: PLR0917 - the verb's own options
    read: Guide,
    reading: Reading,
    python: str | None,
    date: str,
    pip: str,
    engine: str,
    no_search: bool,
    budget: float,
    report: Path | None,
    tell: Say,
) -> tuple[Outcome, dict[str, Any], Path]:
    """Replay a guide that was read, and write its report: what came of it, the same as data, and the folder."""
    import contextlib
    import dataclasses
    import datetime
    import os

    import uv

    from dlmatrix.engines.pythons import Pythons
    from dlmatrix.guides.at_hand import as_written
    from dlmatrix.guides.branches import other_branches
    from dlmatrix.guides.dates import held_to
    from dlmatrix.guides.exports import nearest_env
    from dlmatrix.guides.outcome import Outcome, outcome_lines, played_lines
    from dlmatrix.guides.replay import Setting, player, seconds_from_now, verdict, with_implied
    from dlmatrix.guides.search import search
    from dlmatrix.matrix.load import load_matrix
    from dlmatrix.matrix.site import read_site
    from dlmatrix.report.folder import made, report_folder
    from dlmatrix.report.replay import replay_data, write_replay
    from dlmatrix.system import host
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.working import working

    root, started = find_root(), datetime.datetime.now().astimezone()
    folder = report_folder(root, report, started)
    matrix, site = load_matrix(root), read_site(os.environ)
    chosen = python or reading.python or _usual(matrix)
    steps = with_implied(read, reading)
    setting = Setting(
        root=root,
        site=site,
        pythons=Pythons(site=site, uv=uv.find_uv_bin()),
        say=lambda line: tell(shown(line)),
        until=seconds_from_now(budget),
    )
    about = {"engine": engine}
    if engine == "docker":
        from dlmatrix.guides.room import in_containers

        setting, about = in_containers(setting, matrix.bases)
    tell(f"{shown(str(read.file))}: {read.format}, {read.encoding}; Python {chosen}")
    for repair in reading.repairs:
        tell(f"repaired at line {repair.line}: {repair.what}")

    def told(one: Played) -> None:
        for line in played_lines(one) if one.step.kind not in ("output", "file") else ():
            tell(line)

    with contextlib.ExitStack() as stack:
        stack.enter_context(made(folder))  # before it costs a minute
        stack.enter_context(working(root))
        if date:
            setting = dataclasses.replace(setting, held=held_to(setting, steps, chosen, date))
        live = stack.enter_context(player(setting, read, told))
        played = live.play(steps, chosen, pip)
        found = None
        if played.first_break and not no_search:
            live.quiet()
            found = search(setting, read, steps, played, pip, live)
        outcome = Outcome(
            guide=read,
            steps=steps,
            replay=played,
            verdict=verdict(played),
            search=found,
            env=nearest_env(matrix, played),
            written=tuple(as_written(setting, read, steps, matrix.envs)) if found and engine == "venv" else (),
            branches=() if played.blind else tuple(other_branches(setting, steps, chosen)),
            date=date,
        )
        for line in outcome_lines(outcome):
            tell(line)
        data = replay_data(outcome, about, started, host.describe())
        write_replay(root, folder, outcome, data)
    return outcome, data, folder


def _usual(matrix: Matrix) -> str:
    """The Python of most of the matrix: what a reader has who was told of none."""
    from collections import Counter

    return Counter(env.python for env in matrix.envs).most_common(1)[0][0]
