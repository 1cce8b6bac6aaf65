"""What a machine may lack: memory, files, a home, shared memory, commands, an engine that stays."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import docker

from tests.faults.judge import Fault
from tests.faults.signals import building, checking
from tests.faults.stage import FIRST, ROOT, Run, Stage, poll

_SCRIPT = str(ROOT / ".ci" / "engine")


def limited(stage: Stage, limit: int, value: int) -> Run:
    """A limit of the kernel for the run and all that it starts, as schedulers set them."""
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (value, before[1]))
    try:
        run = stage.start()
    finally:
        resource.setrlimit(limit, before)
    return run.finish()


def without(stage: Stage, *names: str) -> Run:
    """Variables that are mostly set are not."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        run = stage.start()
    finally:
        os.environ.update(kept)
    return run.finish()


def memory_of_a_container(stage: Stage) -> Run:
    """The checks take more memory than their container has."""
    stage.act(memory=True)
    run = stage.run("run", FIRST, "--memory", "64m")
    stage.act()
    return run


def end_engine(number: int) -> None:
    """Kill the engine, one of our own, or stop it."""
    if number == signal.SIGKILL:
        holder = Path(os.environ["DOCKER_HOST"].removeprefix("unix://")).with_name("holder.pid")
        os.kill(int(holder.read_text()), number)
    else:
        subprocess.run([_SCRIPT, "stop"], check=True, capture_output=True)


@contextmanager
def engine_again(stage: Stage) -> Iterator[None]:
    """The engine, whatever happens to it in the block, is there again afterwards."""
    try:
        yield
    finally:
        subprocess.run([_SCRIPT, "start"], check=True, capture_output=True)
        stage.client.close()
        stage.client = docker.from_env()
        poll(stage.client.ping)
        for one in stage.containers():  # what the engine died with is the next run's to remove
            assert one.status != "running"


def engine_lost(stage: Stage, phase: str, number: int) -> Run:
    """The engine is stopped or killed in a phase of a run, and started again afterwards."""
    end = partial(end_engine, number)
    with engine_again(stage):
        if phase == "building":
            with building(stage) as run:
                end()
                run.finish()
        elif phase == "checking":
            with checking(stage) as run:
                end()
                run.finish()
        else:
            run = stage.start(pause=phase)
            stage.moment()
            end()
            stage.go_on()
            run.finish()
    return run


def faults(engine: str) -> Iterator[Fault]:
    """All of them on an engine."""

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    yield row("no HOME, no USER", partial(without_home), 0, keeps=(FIRST,))
    for title, years in (("at the year 1970", -56), ("twenty years ahead", 20)):
        yield row(f"the system's clock is {title}", partial(clock, years=years), 0, keeps=(FIRST,))
    if engine == "venv":
        if os.geteuid() == 0:  # only root mounts
            yield row("nothing can be written to /dev/shm", no_shared_memory, 0, keeps=(FIRST,))
        files, space = (resource.RLIMIT_NOFILE, 24), (resource.RLIMIT_AS, 300 << 20)
        yield row("24 open files", partial(limited, limit=files[0], value=files[1]), 0, keeps=(FIRST,))
        yield row("300 MB of address space", partial(limited, limit=space[0], value=space[1]), 0, keeps=(FIRST,))
    if engine == "docker":
        yield row("no docker command", partial(path_of, path="/nowhere"), 0, 4, says="passed|no docker command")
        yield row("more memory than the container has", memory_of_a_container, 14, says="killed for memory")
        lost = "the Docker engine"
        for word, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGTERM)):
            for title, phase in (
                ("while building", "building"),
                ("while checking", "checking"),
                ("before it looks into the image", "dlmatrix.inspection.examine:Examiner.examine"),
                ("before it starts the checks", "dlmatrix.run.course:_check"),
            ):
                yield row(
                    f"the engine is {word} {title}",
                    partial(engine_lost, phase=phase, number=number),
                    4,
                    says=lost,
                    killed=True,
                    own_engine=True,
                )
            yield row(
                f"the engine is {word} before the report",
                partial(engine_lost, phase="dlmatrix.report.write:summary", number=number),
                0,
                keeps=(FIRST,),
                killed=True,
                own_engine=True,
            )
    else:
        yield row(
            "an engine that does not exist",
            partial(engine_named, host="unix:///nowhere.sock"),
            4,
            says="no Docker engine answers",
        )


def clock(stage: Stage, years: int) -> Run:
    """The clock of the machine is wrong, for the run and all that it starts here."""
    library = stage.folder / "clock.so"
    source = str(Path(__file__).with_name("clock.c"))
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    seconds = str(years * 365 * 86400)
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    before = lock.read_text()
    lock.write_text(f"{before}# {stage.runs}\n")
    run = stage.run(LD_PRELOAD=str(library), FAULTS_CLOCK=seconds)
    lock.write_text(before)
    return run


def no_shared_memory(stage: Stage) -> Run:
    """The machine has no shared memory that can be written."""
    program = 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"'
    return stage.start(within=("unshare", "--mount", "sh", "-c", program, "sh")).finish()


def without_home(stage: Stage) -> Run:
    """Neither HOME nor USER is set."""
    return without(stage, "HOME", "USER", "LOGNAME")


def path_of(stage: Stage, path: str) -> Run:
    """A PATH that has nothing, and so no docker command; what must be built cannot be."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    before = lock.read_text()
    lock.write_text(f"{before}# {stage.runs}\n")
    run = stage.run(PATH=path)
    lock.write_text(before)
    return run


def engine_named(stage: Stage, host: str) -> Run:
    """The engine that is asked for is not there."""
    return stage.run("run", FIRST, "--engine", "docker", DOCKER_HOST=host)
