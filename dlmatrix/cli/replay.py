"""The verb ``replay``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmatrix.cli.parser import MOST_SECONDS, Verbs, check_version
from dlmatrix.errors import EXIT_SKIPPED, UsageError, shown

if TYPE_CHECKING:
    import argparse

    from dlmatrix.guides.judge import Played
    from dlmatrix.guides.model import Guide
    from dlmatrix.guides.outcome import Outcome
    from dlmatrix.guides.replay import Setting
    from dlmatrix.guides.steps import Reading
    from dlmatrix.matrix.model import Matrix, Site
    from dlmatrix.system.process import Say

#: Seconds for all of a replay.
BUDGET_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How guides are replayed: what ``replay`` and ``guides`` are told alike."""

    branch: str = "cpu"
    python: str | None = None
    date: str = ""
    pip: str = ""
    engine: str = "venv"
    no_search: bool = False
    budget: float = BUDGET_SECONDS

    def __post_init__(self) -> None:
        """Raise UsageError, naming the option, for what is no version, day or time."""
        if not 0 < self.budget <= MOST_SECONDS:  # nan
            what = f"--budget {self.budget:g}: is no number of seconds up to {MOST_SECONDS}"
            raise UsageError(what, "leave it out, or give more than 0")
        check_version("--python", self.python)
        check_version("--pip", self.pip or None)
        if self.date:
            _check_day(self.date)


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("replay", help="whether an installation guide still works, and what mends it")
    parser.add_argument("guide", type=Path, metavar="GUIDE", help="Markdown, reStructuredText, HTML, a notebook, text")
    parser.add_argument(
        "--steps", action="store_true", help="show what was read and how it was understood; run nothing"
    )
    add_way(parser)
    parser.set_defaults(verb=replay)


def add_way(parser: argparse.ArgumentParser) -> None:
    """The options that say how guides are replayed, and what comes of it."""
    parser.add_argument(
        "--branch", default=Way.branch, metavar="NAME", help="cpu, gpu, or part of a tab's name (default: cpu)"
    )
    parser.add_argument("--python", metavar="VERSION", help="which Python (default: the guide's, else the matrix's)")
    parser.add_argument(
        "--date", default=Way.date, metavar="DAY", help="the index as of a day: 2022-05-25 (default: today's)"
    )
    parser.add_argument("--pip", default=Way.pip, metavar="VERSION", help="which pip (default: the one of that Python)")
    parser.add_argument(
        "--engine",
        choices=("venv", "docker"),
        default=Way.engine,
        help="where its steps are carried out (default: venv)",
    )
    parser.add_argument("--no-search", action="store_true", help="stop at the first break")
    parser.add_argument(
        "--budget", type=float, default=Way.budget, metavar="SECONDS", help="for all of a guide (default: 3600)"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="a new folder for the report (default: in reports/)")
    parser.add_argument("--json", action="store_true", help="for programs")


def replay(*, guide: Path, steps: bool, report: Path | None, json: bool, **way: Any) -> int:
    """Replay a guide: 0 where it works, 1 where it is broken, 77 where that could not be judged."""
    from dlmatrix.cli.output import say
    from dlmatrix.guides.read.guide import read_guide
    from dlmatrix.guides.show import reading_json, reading_lines
    from dlmatrix.guides.steps import read_steps

    told = Way(**way)
    read = read_guide(guide)
    reading = read_steps(read, told.branch)
    if steps:
        for line in [reading_json(read, reading)] if json else reading_lines(read, reading):
            say(line)
        return 0
    tell: Say = (lambda line: None) if json else say
    outcome, data, folder = carried_out(read, reading, told, report, tell)
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


def setting_of(site: Site, budget: float, tell: Say) -> Setting:
    """Where this checkout replays: with the site's indexes and this machine's Pythons, for so many seconds."""
    import uv

    from dlmatrix.engines.pythons import Pythons
    from dlmatrix.guides.replay import Setting, seconds_from_now
    from dlmatrix.system.checkout import find_root

    return Setting(
        root=find_root(),
        site=site,
        pythons=Pythons(site=site, uv=uv.find_uv_bin()),
        say=lambda line: tell(shown(line)),
        until=seconds_from_now(budget),
    )


def carried_out(
    read: Guide, reading: Reading, way: Way, report: Path | None, tell: Say
) -> tuple[Outcome, dict[str, Any], Path]:
    """Replay a guide that was read, and write its report: what came of it, the same as data, and the folder."""
    import contextlib
    import dataclasses
    import datetime
    import os

    from dlmatrix.guides.at_hand import as_written
    from dlmatrix.guides.branches import other_branches
    from dlmatrix.guides.dates import held_to
    from dlmatrix.guides.exports import nearest_env
    from dlmatrix.guides.outcome import Outcome, outcome_lines, played_lines
    from dlmatrix.guides.replay import player, verdict, with_implied
    from dlmatrix.guides.search import search
    from dlmatrix.matrix.load import load_matrix
    from dlmatrix.matrix.site import read_site
    from dlmatrix.report.folder import made, report_folder
    from dlmatrix.report.replay import replay_data, write_replay
    from dlmatrix.system import host
    from dlmatrix.system.working import working

    setting, started = setting_of(read_site(os.environ), way.budget, tell), datetime.datetime.now().astimezone()
    root = setting.root
    folder = report_folder(root, report, started)
    matrix = load_matrix(root)
    chosen = way.python or reading.python or _usual(matrix)
    steps = with_implied(read, reading)
    about = {"engine": way.engine}
    if way.engine == "docker":
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
        if way.date:
            setting = dataclasses.replace(setting, held=held_to(setting, steps, chosen, way.date))
        live = stack.enter_context(player(setting, read.file.name, told))
        played = live.play(steps, chosen, way.pip)
        found = None
        if played.first_break and not way.no_search:
            live.quiet()
            found = search(setting, read, steps, played, way.pip, live)
        outcome = Outcome(
            guide=read,
            steps=steps,
            replay=played,
            verdict=verdict(played),
            search=found,
            env=nearest_env(matrix, played),
            written=tuple(as_written(setting, read, steps, matrix.envs)) if found and way.engine == "venv" else (),
            branches=() if played.blind else tuple(other_branches(setting, steps, chosen)),
            date=way.date,
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
