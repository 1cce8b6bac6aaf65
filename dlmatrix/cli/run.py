"""What each command of the command line does."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import sys
from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from dlmatrix.errors import EXIT_SKIPPED, EngineError, UsageError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Env, Matrix, Site, Status
from dlmatrix.matrix.plan import Limits, Measuring, Plan, build_command, debian, make_plan, official, quick, run_command
from dlmatrix.matrix.site import read_site
from dlmatrix.report import history
from dlmatrix.report import write as report
from dlmatrix.run.bare_metal import BareMetal
from dlmatrix.run.course import run_all
from dlmatrix.run.outside import Outside
from dlmatrix.run.verdict import exit_code
from dlmatrix.system.checkout import find_root
from dlmatrix.system.console import Progress
from dlmatrix.system.files import replace as replace_file
from dlmatrix.upkeep import bases

if TYPE_CHECKING:
    from dlmatrix.engines.protocol import Engine


def list_envs(options: argparse.Namespace) -> int:
    """Show every cell, with what is known about it."""
    matrix = load_matrix(find_root())
    if options.format == "json":
        print(json.dumps([report.cell_json(env) for env in matrix.envs], indent=1))
    elif options.format == "markdown":
        print(report.cells_markdown(matrix.envs))
    else:
        shown = Table(header_style="bold")
        for column in ("env", "framework", "Python", "status"):
            shown.add_column(column)
        for env in matrix.envs:
            shown.add_row(env.name, env.version, env.python, ": ".join(filter(None, (env.status.value, env.reason))))
        _console().print(shown)
    return 0


def show_plan(options: argparse.Namespace) -> int:
    """Print, for each env, the steps and the docker commands that `run` would carry out."""
    matrix = load_matrix(find_root())
    console = _console(soft_wrap=True)
    for env in select(matrix, options.envs):
        if env.status is Status.IMPOSSIBLE:
            console.print(f"{env.name}: skipped: {env.reason}")
            continue
        plan = _plan(matrix, env, Limits(), Measuring())
        base = debian(plan.base, "(its id on the engine)") if options.bases == "debian" else official(plan.base)
        contexts = {"uv": f".dlmatrix/uv-{plan.uv_version}", "wheels": "(local wheels that the lock names)"}
        room = f"about {plan.disk_bytes / 1e9:.1f} GB of disk to build"
        console.print(f"{env.name}: {len(plan.lock.entries)} locked distributions, Python {env.python}, {room}")
        console.print(f"  1. base: {base.ref}")
        console.print(f"  2. unless {env.tag} has the content key {plan.key(base)}, build it:")
        console.print(
            f"     {shlex.join(build_command(plan, base, contexts, {'uvconfig': '(the site: index, proxy)'}))}"
        )
        console.print(f"  3. check it:\n     {shlex.join(run_command(plan))}")
        console.print("  4. write the report")
    return 0


def run_envs(options: argparse.Namespace) -> int:
    """Run envs and write the report; returns the run's exit code."""
    started = datetime.datetime.now(datetime.timezone.utc)
    if options.timeout <= 0:
        raise UsageError("--timeout must be a positive number of seconds", "leave it out for 600")
    if options.throughput is not None and not 0 <= options.throughput < float("inf"):
        raise UsageError("--throughput must be a number of seconds from 0 on", "leave it out for 120")
    matrix = load_matrix(find_root())
    envs = select(matrix, options.envs)
    folder = report.report_folder(matrix.root, options.report, started)
    console = _console(stderr=options.json)
    engine, why = choose_engine(options)
    console.print(f"engine: {engine.name} ({why})", soft_wrap=True)
    bare = _bare_metal(engine) if options.bare_metal else None
    limits = Limits(timeout_seconds=options.timeout)
    about = engine.about()
    past = history.read(matrix.root)
    with Progress(console, partial(past.expected, engine.name)) as progress:
        plans = [partial(_plan, matrix, env, limits, _measuring(options, env)) for env in envs]
        results = run_all(engine, plans, envs, Outside(matrix, options.require_gpu), progress.tell, bare=bare)
    data = report.as_json(results, about, started)
    report.write_report(folder, results, data, started, past.with_run(folder.name, data))
    try:
        history.add(matrix.root, folder.name, data)
    except OSError as error:  # the run is what counts, and its report is there
        console.print(f"history: not kept: {error}", soft_wrap=True)
    console.print(report.table(results))
    for line in report.remarks(results):
        console.print(line, soft_wrap=True)
    console.print(f"report: {folder}", soft_wrap=True)
    if options.json:
        print(report.dumps(data), end="")
    # Cells that drift apart are a failure, though each may be near enough to the reference.
    return exit_code(result.exit_code for result in results) or int(bool(data["parity"]["drifting"]))


def make_bases(options: argparse.Namespace) -> int:
    """Make the Debian bases for the named Pythons."""
    matrix = load_matrix(find_root())
    known = {base.python: base for base in matrix.bases}
    wanted = options.pythons or sorted({env.python for env in matrix.envs if env.status is Status.SUPPORTED})
    for python in wanted:
        if python not in known:
            raise UsageError(f"there is no base for Python {python}", f"known: {', '.join(known)}")
    console = _console(soft_wrap=True)
    skipped = bases.make_bases(matrix.root, [known[python] for python in wanted], console.print)
    for line in skipped:
        console.print(f"skipped: {line}")
    return 0


def check_guides(options: argparse.Namespace) -> int:
    """Resolve guides' install commands in a clean environment; 1 where one does something else than is known."""
    from dlmatrix.guides.resolve import check_extra_index, check_installs  # noqa: PLC0415 - only this command resolves

    console = _console(soft_wrap=True)
    findings = (*check_installs(options.python), *check_extra_index(options.python))
    for finding in findings:
        console.print(f"{finding.outcome:<8} {finding.command}\n         {finding.found}\n         {finding.reason}")
    outcomes = {finding.outcome for finding in findings}
    return 1 if "failed" in outcomes else EXIT_SKIPPED if "skipped" in outcomes else 0


def choose_engine(options: argparse.Namespace) -> tuple[Engine, str]:
    """The engine and, in a few words, why it is this one. Raises EngineError where the one asked for is not there."""
    site = read_site(os.environ)
    if options.engine == "host":
        from dlmatrix.engines.host import HostEngine  # noqa: PLC0415 - only the engine in use is loaded

        if options.python is None:
            raise UsageError("--engine host needs an interpreter", "name it: --python /path/to/bin/python")
        return HostEngine(options.python), f"checks {options.python}"
    reason = "as asked"
    if options.engine in ("auto", "docker"):
        try:
            from dlmatrix.engines.docker.engine import connect  # noqa: PLC0415

            return connect(site, options.bases), "as asked" if options.engine == "docker" else "an engine answers"
        except EngineError as error:
            if options.engine == "docker":
                raise
            reason = error.message
    return _venv(site), reason


def _bare_metal(engine: Engine) -> BareMetal:
    """What shows the cost of a container; only a container has one."""
    if not engine.contains:
        raise UsageError(f"--bare-metal compares with a container, and the engine is {engine.name}", "--engine docker")
    return BareMetal(engine=_venv(read_site(os.environ)))


def _venv(site: Site) -> Engine:
    import uv  # noqa: PLC0415

    from dlmatrix.engines.venv import VenvEngine  # noqa: PLC0415 - only the engine in use is loaded

    return VenvEngine(site, uv.find_uv_bin())


def write_page(options: argparse.Namespace) -> int:
    """Write report.html of a report once more, from its result.json: for what an older version wrote."""
    from dlmatrix.report.page import report_html  # noqa: PLC0415 - what draws is not to delay any other command

    file = options.report / "result.json"
    try:
        page = report_html(file.read_text(encoding="utf-8"), history.read(find_root()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is no result of a run ({error!r})", "name a folder that run wrote") from None
    replace_file(options.report / "report.html", page)
    _console(soft_wrap=True).print(f"page: {options.report / 'report.html'}")
    return 0


def _console(soft_wrap: bool = False, stderr: bool = False) -> Console:
    """A console that shows text as it is, and, where no terminal says how wide it is, is wide enough for the tables."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return Console(width=width, soft_wrap=soft_wrap, stderr=stderr, highlight=False, markup=False, emoji=False)


def _measuring(options: argparse.Namespace, env: Env) -> Measuring:
    """What of the throughput the command line asks for."""
    if options.quick:
        return quick(env)
    return Measuring() if options.throughput is None else Measuring(seconds=options.throughput)


def _plan(matrix: Matrix, env: Env, limits: Limits, measuring: Measuring) -> Plan:
    plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), limits)
    return replace(plan, measuring=measuring)
