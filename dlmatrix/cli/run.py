"""The verb ``run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmatrix.cli.machine import add_gpus, add_limits, add_newest, refuse_gpus
from dlmatrix.cli.parser import MOST_SECONDS, Verbs, add_bases
from dlmatrix.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from dlmatrix.engines.protocol import Engine
    from dlmatrix.matrix.model import Env, Matrix
    from dlmatrix.matrix.plan import Measuring, Plan
    from dlmatrix.report.history import History
    from dlmatrix.run.bare_metal import BareMetal
    from dlmatrix.run.result import EnvResult


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks of a run."""

    envs: Sequence[str]
    engine: str
    #: the interpreter of the engine `host`
    python: Path | None
    #: the folder of the images of the engine `apptainer`
    sif: Path | None
    report: Path | None
    #: the newest env of a session, whether this machine can run it or not
    newest: bool
    #: as the command line names them
    gpus: tuple[str, ...] | None
    #: bytes
    memory: int | None
    cpus: float | None
    #: bytes
    shm_size: int | None
    #: seconds
    timeout: int
    #: seconds for measuring it
    throughput: float | None
    quick: bool
    require_gpu: bool
    bare_metal: bool
    json: bool
    bases: str
    #: the file of a bundle whose wheels and images are used
    bundle: Path | None
    #: the public key of whoever signed it
    key: Path | None


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("run", help="build, verify and measure envs")
    parser.add_argument("envs", nargs="+", metavar="ENV", help="cpu-torch-2.13, or cpu-torch for the newest")
    add_newest(parser)
    parser.add_argument("--engine", choices=["auto", "docker", "apptainer", "venv", "host"], default="auto")
    parser.add_argument("--python", type=Path, help="the interpreter of --engine host")
    parser.add_argument("--sif", type=Path, metavar="DIR", help="the folder of the images of --engine apptainer")
    parser.add_argument("--report", type=Path, metavar="DIR", help="a new folder (default: reports/TIME)")
    add_gpus(parser)
    add_limits(parser)
    parser.add_argument("--timeout", type=int, default=600, metavar="SECONDS", help="for the checks of one env")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--throughput", type=float, metavar="SECONDS", help="for measuring it (default: 120; 0: not)")
    speed.add_argument("--quick", action="store_true", help="measure training and inference at batch 128 only")
    parser.add_argument("--require-gpu", action="store_true", help="a gpu env whose GPU was not used has failed")
    parser.add_argument(
        "--bare-metal", action="store_true", help="hold the container's throughput against a local venv's"
    )
    parser.add_argument("--json", action="store_true", help="write result.json to stdout, everything else to stderr")
    add_bases(parser)
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="use wheels and images of a bundle, verified first")
    parser.add_argument("--key", type=Path, metavar="FILE", help="with --bundle: the public key of whoever signed it")
    parser.set_defaults(verb=lambda **options: run_envs(Options(**options)))


def run_envs(options: Options) -> int:
    """Run envs and write the report; returns the run's exit code."""
    import datetime
    from functools import partial

    from dlmatrix.cli.output import make_console
    from dlmatrix.engines.choose import choose_engine
    from dlmatrix.engines.venv import VenvEngine
    from dlmatrix.matrix.load import load_sound, select
    from dlmatrix.matrix.plan import ALL
    from dlmatrix.report import history
    from dlmatrix.report import write as report
    from dlmatrix.report.folder import KeptReport, report_folder
    from dlmatrix.report.meanings import meaning
    from dlmatrix.run.at_hand import AtHand
    from dlmatrix.run.course import run_all
    from dlmatrix.run.outside import Outside
    from dlmatrix.run.result import interrupted, unfinished
    from dlmatrix.run.verdict import exit_code
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.console import Progress
    from dlmatrix.system.working import working

    started = datetime.datetime.now(datetime.timezone.utc)
    _check(options)
    matrix = load_sound(find_root())
    outside = Outside(matrix, options.require_gpu, options.gpus or ALL)
    envs, remarks = (select(matrix, options.envs), ()) if options.newest else outside.pick(options.envs)
    _check_gpus(options, envs)
    console = make_console(stderr=options.json)
    _use(options, matrix, envs, console)
    folder = report_folder(matrix.root, options.report, started)
    engine, why = choose_engine(options.engine, bases=options.bases, python=options.python, sif=options.sif)
    console.print(f"engine: {engine.name} ({why})", soft_wrap=True)
    _check_engine(options, engine)
    for line in (*_left_out(matrix), *remarks, *_visible(options, engine, envs)):
        console.print(line, soft_wrap=True)
    bare = _bare_metal(engine) if options.bare_metal else None
    about, measuring = engine.about(), _told(options)

    def as_json(results: Sequence[EnvResult]) -> dict[str, Any]:
        return report.as_json(results, about, started, outside.host(), measuring=measuring)

    with working(matrix.root), KeptReport(folder, lambda results: report.dumps(as_json(results))) as kept:
        kept.make([unfinished(env) for env in envs])
        if isinstance(engine, VenvEngine) and not options.newest:
            chooser = AtHand(matrix=matrix, pythons=engine.pythons)
            envs = chooser.choose(options.envs, envs, partial(console.print, soft_wrap=True))
        past = history.read(matrix.root)
        with Progress(console, partial(past.expected, engine.name, measuring), meaning) as progress:
            plans = [partial(_plan, matrix, env, options) for env in envs]
            results = run_all(engine, plans, envs, outside, progress.tell, bare=bare, keep=kept.keep)
        data = as_json(results)
        _write(console, matrix.root, folder, results=results, data=data, past=past, to_stdout=options.json)
        if interrupted(results):
            raise KeyboardInterrupt
    console.was_heard(f"the run's results are in {folder}")
    # Cells that drift apart are a failure, though each may be near enough to the reference.
    return exit_code(result.exit_code for result in results) or int(bool(data["parity"]["drifting"]))


def _write(
    console: Console,
    root: Path,
    folder: Path,
    *,
    results: Sequence[EnvResult],
    data: Mapping[str, Any],
    past: History,
    to_stdout: bool,
) -> None:
    """Write history and report, and show the table, whatever happens to the files."""
    from dlmatrix.cli.output import tell
    from dlmatrix.report import history, table
    from dlmatrix.report import write as report

    try:
        try:
            history.add(root, folder, data)
        except OSError as error:  # the run is what counts
            console.print(f"history: not kept: {error}", soft_wrap=True)
        report.write_report(root, folder, results, data, past.with_run(folder, data))
    finally:
        console.print(table.table(results, console.width))
        for line in table.remarks(results):
            tell(console, line)
        if to_stdout:
            print(report.dumps(data), end="")
    console.print(f"report: {folder}", soft_wrap=True)


def _check(options: Options) -> None:
    if not 0 < options.timeout <= MOST_SECONDS:
        raise UsageError(f"--timeout must be a number of seconds from 1 to {MOST_SECONDS}", "leave it out for 600")
    if options.throughput is not None and not 0 <= options.throughput <= MOST_SECONDS:
        raise UsageError(f"--throughput must be a number of seconds from 0 to {MOST_SECONDS}", "leave it out for 120")
    if options.key and not options.bundle:
        raise UsageError("--key is for --bundle", "name the bundle: --bundle FILE")


def _check_gpus(options: Options, envs: Sequence[Env]) -> None:
    from dlmatrix.matrix.plan import NONE

    if options.gpus == NONE and options.require_gpu:
        raise UsageError("--gpus none and --require-gpu exclude each other", "leave one of them out")
    if options.require_gpu and not any(env.variant == "gpu" for env in envs):
        raise UsageError("--require-gpu: none of the envs is for a GPU", "name a gpu env, or leave it out")
    refuse_gpus(options.gpus, envs)


def _check_engine(options: Options, engine: Engine) -> None:
    """What only a container can be held to is asked of nothing else; and GPUs only within what a scheduler left."""
    import os

    from dlmatrix.gpu.selection import environment

    given = {"--memory": options.memory, "--cpus": options.cpus, "--shm-size": options.shm_size}
    limits = [name for name, value in given.items() if value is not None]
    if limits and not engine.contains:
        raise UsageError(
            f"{' and '.join(limits)}: the engine {engine.name} holds no env to it",
            "--engine docker, or leave it out",
        )
    if limits and options.bare_metal:
        raise UsageError(f"{' and '.join(limits)}: --bare-metal compares with what has no limits", "leave one out")
    if options.bases != "auto" and not engine.contains:
        raise UsageError(f"--bases: the engine {engine.name} builds on no base", "--engine docker, or leave it out")
    if not engine.contains:
        environment(options.gpus or (), os.environ)


def _use(options: Options, matrix: Matrix, envs: Sequence[Env], console: Console) -> None:
    """Have the engines take what a bundle has, where one is named."""
    from functools import partial

    from dlmatrix.bundle.use import use_bundle

    if options.bundle:
        use_bundle(matrix, options.bundle, envs, partial(console.print, soft_wrap=True), options.key)


def _left_out(matrix: Matrix) -> list[str]:
    return [f"{error.message}: its envs are left out" for error in matrix.broken.values()]


def _visible(options: Options, engine: Engine, envs: Sequence[Env]) -> list[str]:
    """What is to be said of CUDA_VISIBLE_DEVICES, which schedulers set."""
    import os

    from dlmatrix.gpu.selection import VISIBLE

    value = os.environ.get(VISIBLE)
    if value is None or options.gpus or not any(env.variant == "gpu" for env in envs):
        return []
    if engine.contains:
        return [f"GPUs: {VISIBLE}={value} of this shell does not reach a container: hand it on with --gpus"]
    return [f"GPUs: those of {VISIBLE}={value}, which this shell's environment sets"]


def _plan(matrix: Matrix, env: Env, options: Options) -> Plan:
    from dataclasses import replace
    from importlib import metadata

    from dlmatrix.cli.machine import limits_of
    from dlmatrix.matrix.load import lock_of
    from dlmatrix.matrix.plan import make_plan

    limits = replace(limits_of(options.memory, options.cpus, options.shm_size), timeout_seconds=options.timeout)
    own = next(one for one in matrix.envs if one.name == env.name)  # env may be on another Python than its base's
    plan = make_plan(matrix, own, lock_of(matrix, own), metadata.version("uv"), limits)
    return replace(plan, env=env, measuring=_measuring(env, options))


def _measuring(env: Env, options: Options) -> Measuring:
    from dlmatrix.matrix.plan import Measuring, quick

    if options.quick:
        return quick(env)
    return Measuring() if options.throughput is None else Measuring(seconds=options.throughput)


def _told(options: Options) -> str:
    """What is measured, as the report and the history tell it."""
    from dlmatrix.matrix.plan import Measuring

    seconds = Measuring().seconds if options.throughput is None else options.throughput
    return ("quick" if options.quick else f"{seconds:g} s") + (", and bare metal" if options.bare_metal else "")


def _bare_metal(engine: Engine) -> BareMetal:
    """What shows the cost of a container; only a container has one."""
    from dlmatrix.engines.choose import venv_engine
    from dlmatrix.run.bare_metal import BareMetal

    if not engine.contains:
        raise UsageError(
            f"--bare-metal compares with a container of Docker's, and the engine is {engine.name}", "--engine docker"
        )
    return BareMetal(engine=venv_engine())
