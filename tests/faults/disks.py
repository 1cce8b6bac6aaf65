"""Disks that are full or cannot be written, wherever a run writes; they are real: small file systems."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial

from tests.faults.judge import Fault
from tests.faults.stage import FIRST, Run, Stage, fill, small_disk

_ON_DOCKER = {
    "the working folder's disk is full",
    "the working folder's disk fills up before the build",
    "the report's disk fills up before the page",
    "the layers' disk is full",
    "the layers' disk is read-only",
    "TMPDIR is full",
    "TMPDIR is read-only",
}
_FULL = r"[Nn]o space left|is full|could not be written"


def state(stage: Stage, *, full: bool = True, read_only: bool = False) -> Run:
    """The working folder's disk, from the start."""
    with small_disk(stage.state, full=full, read_only=read_only):
        return stage.run()


def state_meanwhile(stage: Stage, pause: str) -> Run:
    """The working folder's disk fills up while the run goes on."""
    kept = stage.folder / "kept"
    shutil.copytree(stage.state, kept, symlinks=True)
    with small_disk(stage.state, "60m", full=False):
        shutil.copytree(kept, stage.state, symlinks=True, dirs_exist_ok=True)
        run = stage.start(pause=pause)
        stage.moment()
        fill(stage.state)
        stage.go_on()
        run.finish()
    shutil.rmtree(kept)
    return run


def report(stage: Stage, *, full: bool = True, read_only: bool = False) -> Run:
    """The disk of the folder that the report is to be in."""
    with small_disk(stage.folder / "disk", full=full, read_only=read_only) as disk:
        return stage.run("run", FIRST, "--report", str(disk / "report"))


def report_meanwhile(stage: Stage, pause: str, when: str = "before") -> Run:
    """The report's disk fills up while the run goes on; what of it is there is kept for the judge."""
    with small_disk(stage.folder / "disk", "1m", full=False) as disk:
        run = stage.start("run", FIRST, "--report", str(disk / "report"), pause=pause, when=when)
        stage.moment()
        fill(disk)
        stage.go_on()
        run.finish()
        run.report = stage.folder / f"saved-{stage.runs}"
        spare = stage.state / "reports" / "report"
        shutil.copytree(spare if spare.exists() else disk / "report", run.report)
        shutil.rmtree(spare, ignore_errors=True)
    return run


def default_reports(stage: Stage, *, full: bool = True, read_only: bool = False) -> Run:
    """The checkout's own folder of reports, which nobody names."""
    with small_disk(stage.root / "reports", full=full, read_only=read_only):
        return stage.run("run", FIRST, "--report", str(stage.root / "reports" / "report"))


def history(stage: Stage, **how: bool) -> Run:
    """The folder of the history alone: the run is what counts."""
    with small_disk(stage.root / "reports" / "history", **how):
        return stage.run("run", FIRST)


def temporary(stage: Stage, *, full: bool = True, read_only: bool = False) -> Run:
    """The folder for temporary files, which the checks in a virtual environment need."""
    with small_disk(stage.folder / "tmp", full=full, read_only=read_only):
        return stage.run()


def building(stage: Stage) -> Run:
    """A virtual environment has no room to be made."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    before = lock.read_text()
    lock.write_text(f"{before}# other\n")
    with small_disk(stage.state / "venvs", "40k", full=False):
        run = stage.run()
    lock.write_text(before)
    return run


def layers(stage: Stage, *, full: bool = True, read_only: bool = False) -> Run:
    """The folder of an image's layers, when one must be made."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    before = lock.read_text()
    lock.write_text(f"{before}# other\n")
    with small_disk(stage.folder / "cache", full=full, read_only=read_only):
        run = stage.run()
    lock.write_text(before)
    return run


def named(stage: Stage, name: str) -> Run:
    """A report's folder that cannot be, or that cannot be moved; refused, or filled, before a minute is spent."""
    (stage.root / "empty").mkdir(exist_ok=True)
    link = stage.root / "link"
    if not link.is_symlink():
        link.symlink_to("empty")
    run = stage.run("run", FIRST, "--report", name)
    for one in (stage.root / "empty").iterdir():
        one.unlink()
    return run


def mount_point(stage: Stage) -> Run:
    """A report's folder that is a mount point."""
    with small_disk(stage.folder / "disk", "4m", full=False) as disk:
        run = stage.run("run", FIRST, "--report", str(disk))
        run.report = stage.folder / f"saved-{stage.runs}"
        shutil.copytree(disk, run.report)
    return run


def output(stage: Stage) -> Run:
    """The output goes to a full disk, and the report is there all the same."""
    run = stage.start(output=os.open("/dev/full", os.O_WRONLY))
    run.code = run.process.wait()
    return run


def shut_output(stage: Stage) -> Run:
    """Whoever reads the output goes away."""
    run = stage.start()
    run.until("plan")
    assert run.process.stdout
    run.process.stdout.close()
    run.code = run.process.wait()
    return run


def faults(engine: str) -> Iterator[Fault]:
    """All of them in a virtual environment, and on Docker those where it writes, or reads, too."""
    if os.geteuid() != 0:  # only root mounts
        return
    yield from (fault for fault in _all(engine) if engine == "venv" or fault.title in _ON_DOCKER)


def _all(engine: str) -> Iterator[Fault]:

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    read_only = {"full": False, "read_only": True}
    yield row("the working folder's disk is full", state, 9, says=rf"\.dlmatrix.*: {_FULL}", short=engine == "venv")
    yield row(
        "the working folder is read-only: the user's own takes its place",
        partial(state, **read_only),
        0,
        keeps=(FIRST,),
    )
    yield row(
        "the working folder's disk fills up before the build",
        partial(state_meanwhile, pause="dlmatrix.run.course:_build"),
        9,
        0,
        says=rf"{_FULL}|passed",
    )
    yield row("the report's disk is full", report, 9, says=_FULL)
    yield row("the report's disk is read-only", partial(report, **read_only), 2, says="no folder that can be written")
    yield row(
        "the report's disk fills up while checking",
        partial(report_meanwhile, pause="dlmatrix.run.course:_check"),
        9,
        says=_FULL,
        keeps=(FIRST,),
    )
    yield row(
        "the report's disk fills up before the page",
        partial(report_meanwhile, pause="dlmatrix.report.write:summary"),
        9,
        says=_FULL,
        keeps=(FIRST,),
    )
    yield row("the folder of reports is full", default_reports, 9, says=_FULL)
    yield row(
        "the folder of reports is read-only",
        partial(default_reports, **read_only),
        2,
        says="no folder that can be written",
    )
    yield row("the history's disk is full", history, 0, says="history: not kept: .*No space")
    yield row("the history is read-only", partial(history, **read_only), 0, says="history: not kept: .*Read-only")
    yield row("no room to make a virtual environment", building, 9, says=_FULL)
    if engine == "docker":
        yield row("the layers' disk is full", layers, 9, says=_FULL)
        yield row("the layers' disk is read-only", partial(layers, **read_only), 9, says="Read-only")
    yield row("TMPDIR is full", temporary, 0, 9, says="passed|tmp.*No space")
    yield row("TMPDIR is read-only", partial(temporary, **read_only), 0, 9, says="passed|tmp.*Read-only")
    yield row("the output goes to a full disk", output, 9, keeps=(FIRST,), killed=True)
    yield row("whoever reads the output goes away", shut_output, 1, killed=True)
    yield row("--report names a link to a folder", partial(named, name="link"), 0)
    yield row("--report names a link to a file", partial(named, name="envs/bases.toml"), 2, says="--report")
    yield row("--report has a name of 300 characters", partial(named, name="x" * 300), 2, says="name a new folder")
    yield row("--report names the current folder, which is not empty", partial(named, name="."), 2, says="not empty")
    yield row("--report names a mount point", mount_point, 0, keeps=(FIRST,))
