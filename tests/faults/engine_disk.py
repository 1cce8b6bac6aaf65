"""The Docker engine's own disk: full, or gone read-only under it. The engine must be one of our own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import docker

from tests.faults.judge import Fault
from tests.faults.stage import FIRST, ROOT, Run, Stage, fill, poll

_SCRIPT = str(ROOT / ".ci" / "engine")
#: Bytes beside what the engine holds already: more than a run wants to see free before it builds.
_ROOM = 2_000_000_000


@contextmanager
def small(stage: Stage) -> Iterator[Path]:
    """The engine with all its data on a small file system of its own, for the time of the block."""
    state = Path(os.environ["DOCKER_HOST"].removeprefix("unix://")).parent.parent
    data, image, place = state / "data", state / "small.img", state / "small"
    _engine("stop")
    used = int(_told("du", "-s", "--block-size=1", str(data)).split()[0])
    with image.open("wb") as file:
        file.truncate(int(used * 1.2) + _ROOM)
    _told("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    place.mkdir(exist_ok=True)
    _told("mount", "-o", "loop", str(image), str(place))
    _told("cp", "-a", f"{data}/.", str(place))
    _told("umount", str(place))
    _told("mount", "-o", "loop", str(image), str(data))
    try:
        _start(stage)
        yield data
    finally:
        _engine("stop")
        _told("umount", str(data))
        image.unlink()
        place.rmdir()
        _start(stage)


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _engine(word: str) -> None:
    _told(_SCRIPT, word)


def _start(stage: Stage) -> None:
    _engine("start")
    stage.client.close()
    stage.client = docker.from_env()
    poll(stage.client.ping)


def _unlike(stage: Stage) -> str:
    """Another lock, so that an image is built; what the lock was before."""
    lock = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    before = lock.read_text()
    lock.write_text(f"{before}# {stage.runs}\n")
    return before


def _run(stage: Stage, pause: str, spoil: Callable[[], object]) -> Run:
    """A run whose engine loses its disk: from the start, or at a function that it has come to."""
    before = _unlike(stage)
    if pause:
        run = stage.start(pause=pause)
        stage.moment()
        spoil()
        stage.go_on()
        run.finish()
    else:
        spoil()
        run = stage.run()
    (stage.root / "envs" / "locks" / f"{FIRST}.txt").write_text(before)
    return run


def full(stage: Stage, pause: str = "") -> Run:
    """Not a byte is left; once there is room again, the same engine serves the next run."""
    with small(stage) as data:
        run = _run(stage, pause, lambda: fill(data))
        (data / "filler").unlink()
        if (again := stage.run()).code != 0:
            run.text += f"Traceback: with room again the same engine ended a run with {again.code}: {again.text}"
    return run


def read_only(stage: Stage, pause: str = "") -> Run:
    """A file system that found itself broken, which Linux makes read-only."""
    with small(stage) as data:
        return _run(stage, pause, lambda: _told("mount", "-o", "remount,abort", str(data)))


def faults(engine: str) -> Iterator[Fault]:
    """All of them; only root mounts."""
    if engine != "docker" or os.geteuid() != 0:
        return
    checks = "dlmatrix.run.course:_check"
    for title, staged in (
        ("is full before the build", full),
        ("fills up before the checks", partial(full, pause=checks)),
        ("turns read-only before the build", read_only),
        ("turns read-only before the checks", partial(read_only, pause=checks)),
    ):
        yield Fault(
            title=f"the engine's disk {title}",
            stage=staged,
            engine=engine,
            codes=(9,),
            says="the disk is (full|read-only, or broken,) where the Docker engine writes",
            own_engine=True,
            killed=True,
        )
