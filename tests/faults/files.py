"""Files of earlier runs that are torn, huge or of another kind, and runs beside each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import docker

from tests.faults.judge import Fault
from tests.faults.signals import checking
from tests.faults.stage import FIRST, SECOND, Run, Stage

_CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "torn": b'{"schema_version": 1, "envs": [{"env": "cpu',
    "of another schema": b'{"schema_version": 99, "envs": {"a": 1}}',
    "of zero bytes, as after a power cut": b"\0" * 4096,
    "200 MB of nothing": b'{"envs": [' + b"null, " * 33_000_000 + b"null]}",
}


#: The exit code, the file and the command of what reads a file that people hand over, or that was brought.
_ENDLESS: dict[str, tuple[Any, ...]] = {
    "a lock": (3, f"envs/locks/{FIRST}.txt", "run", FIRST),
    "an env's file": (3, "envs/torch-1.0.toml", "run", FIRST),
    "the table of the bases": (3, "envs/bases.toml", "run", FIRST),
    "a guide": (2, "guide.md", "replay", "guide.md"),
    "a notebook": (2, "guide.ipynb", "replay", "guide.ipynb"),
    "a report that is compared": (15, "a/result.json", "compare", "a", "a"),
    "a bundle's end": (20, "room.bundle", "bundle", "--verify", "room.bundle"),
    "a fleet's record": (15, "lab/fleet.json", "fleet", "--resume", "lab"),
}


def endless(stage: Stage, file: str, words: Sequence[str]) -> Run:
    """A file that has no end, for a command that may have 600 MB of memory."""
    place = stage.root / file
    before = place.read_bytes() if place.is_file() else None
    place.parent.mkdir(exist_ok=True)
    with place.open("wb") as stream:
        stream.truncate(200_000_000)
    run = stage.start(*words, within=("prlimit", f"--as={600 << 20}")).finish()
    place.unlink()
    if before is not None:
        place.write_bytes(before)
    elif place.parent != stage.root:
        shutil.rmtree(place.parent)
    return run


def history(stage: Stage, content: bytes) -> Run:
    """A file of the history is not what it should be."""
    folder = stage.root / "reports" / "history"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "2026-01-01T000000-1.json").write_bytes(content)
    run = stage.run()
    (folder / "2026-01-01T000000-1.json").unlink()
    return run


def history_of_tomorrow(stage: Stage) -> Run:
    """The clock was set back: the newest run of the history is to come."""
    newest = max((stage.root / "reports" / "history").glob("*.json"))
    data = newest.read_text().replace('"started": "2026', '"started": "2126')
    later = newest.with_name("2126-01-01T000000-1.json")
    later.write_text(data)
    run = stage.run()
    later.unlink()
    return run


def state(stage: Stage, content: bytes) -> Run:
    """What is remembered of a build is not what it should be."""
    (stage.state / "built" / stage.engine / f"{FIRST}.json").write_bytes(content)
    for file in (stage.state / "examined").glob("*"):
        file.write_bytes(content)
    return stage.run()


def in_the_way(stage: Stage, *parts: str) -> Run:
    """A folder stands where a file is to be written."""
    place = stage.state.joinpath(*parts)
    place.unlink()
    place.mkdir()
    run = stage.run()
    place.rmdir()
    return run


def page(stage: Stage, content: bytes) -> Run:
    """The page of a result that is not what it should be."""
    folder = stage.folder / "torn"
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_bytes(content)
    run = stage.run("page", str(folder))
    shutil.rmtree(folder)
    return run


def eight_at_once(stage: Stage) -> Run:
    """Eight runs of one env: whoever holds it runs it, the others say so; no report is another's."""
    runs = [stage.start() for _ in range(8)]
    for run in runs:
        run.finish()
    codes = [run.code for run in runs]
    best = next((run for run in runs if run.code == 0), runs[0])
    best.text = "\n".join(run.text for run in runs)
    own = all(_outcome(run) == ("passed" if run.code == 0 else "error") for run in runs)
    best.code = 0 if codes.count(0) >= 1 and set(codes) <= {0, 10} and own else 1
    return best


def _outcome(run: Run) -> str:
    (env,) = json.loads((run.report / "result.json").read_text())["envs"]
    return str(env["outcome"])


def same_report(stage: Stage) -> Run:
    """Two runs at once into one report: the second is refused, and the first's is whole."""
    with checking(stage) as first:
        second = stage.run("run", FIRST, "--report", str(first.report))
        first.process.terminate()
        first.finish()
    second.text += first.text
    return second


def venv_broken(stage: Stage, break_it: Callable[[Path], None]) -> Run:
    """Somebody changed the virtual environment."""
    break_it(stage.state / "venvs" / FIRST)
    return stage.run()


def venv_edited(stage: Stage) -> Run:
    """Somebody edited an installed file, which is as long as before, in place: uv's cache has it, too."""
    file = next((stage.state / "venvs" / FIRST).rglob("tiny/__init__.py"))
    before = file.read_text()
    file.write_text(before.replace("1", "2"))
    run = stage.run()
    if file.read_text() != before:
        run.text += "Traceback: what was edited is still there"
    return run


def half_a_venv(stage: Stage) -> Run:
    """A run was killed after it had put the old environment aside."""
    folder = stage.state / "venvs"
    (folder / FIRST).rename(folder / f".{FIRST}.old")
    (folder / FIRST).mkdir()
    return stage.run()


def container_removed(stage: Stage) -> Run:
    """Somebody removes the container of the checks."""
    with checking(stage) as run:
        (one,) = (c for c in stage.containers() if c.labels["dlmatrix.env"] == SECOND)
        one.remove(force=True)
        return run.finish()


def container_stopped(stage: Stage) -> Run:
    """Somebody stops the container of the checks."""
    with checking(stage) as run:
        (one,) = (c for c in stage.containers() if c.labels["dlmatrix.env"] == SECOND)
        one.stop(timeout=1)
        return run.finish()


def image_removed(stage: Stage) -> Run:
    """Somebody removes the image between two runs."""
    stage.client.images.remove(f"dlmatrix:{FIRST}", force=True)
    return stage.run()


def image_removed_meanwhile(stage: Stage) -> Run:
    """Somebody removes the image between the look into it and the checks."""
    run = stage.start(pause="dlmatrix.run.course:_check")
    stage.moment()
    stage.client.images.remove(f"dlmatrix:{FIRST}", force=True)
    stage.go_on()
    return run.finish()


def another_image(stage: Stage) -> Run:
    """Another image has taken the name."""
    stage.client.images.get("dlmatrix-base:3.11-bookworm").tag(f"dlmatrix:{FIRST}")
    return stage.run()


def foreign_container(stage: Stage) -> Run:
    """A container of another checkout, and one that has no run: neither is touched."""
    ours = stage.client.images.get(f"dlmatrix:{FIRST}").id
    others = [
        stage.client.containers.create(ours, labels={"dlmatrix.checkout": "0" * 16, "dlmatrix.run": "tmp-0"}),
        stage.client.containers.create(ours, labels={"dlmatrix.env": ""}),
    ]
    run = stage.run()
    for one in others:
        try:
            one.remove(force=True)
        except docker.errors.NotFound:
            run.text += "Traceback: a container of somebody else was removed"
    return run


def faults(engine: str) -> Iterator[Fault]:
    """All of them on an engine."""

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    for name, content in _CONTENTS.items():
        if engine == "venv":
            yield row(f"a file of the history is {name}", partial(history, content=content), 0)
            yield row(f"a report's result is {name}", partial(page, content=content), 15, says="result.json")
        yield row(f"what is remembered of a build is {name}", partial(state, content=content), 0, keeps=(FIRST,))
    if engine == "venv":
        for title, (code, file, *words) in _ENDLESS.items():
            yield row(f"{title} has 200 MB", partial(endless, file=file, words=words), code, says="MB|no whole bundle")
    yield row(
        "eight runs of one env at once", eight_at_once, 0, says="another run of it is under way", short=engine == "venv"
    )
    if engine == "venv":
        yield row("the clock was set back: the history's newest run is to come", history_of_tomorrow, 0, keeps=(FIRST,))
        yield row("two runs into one report", same_report, 2, says="exists and is not empty")
        yield row(
            "a folder where a build is remembered",
            lambda stage: in_the_way(stage, "built", "venv", f"{FIRST}.json"),
            1,
            says=FIRST,
        )
        yield row("a folder where an env is held", lambda stage: in_the_way(stage, "busy", FIRST), 1, says=FIRST)
        yield row(
            "the interpreter of the virtual environment is gone",
            partial(venv_broken, break_it=lambda v: (v / "bin" / "python").unlink()),
            0,
            keeps=(FIRST,),
        )
        yield row(
            "a package in the virtual environment was changed",
            venv_edited,
            0,
            says="built in",
            keeps=(FIRST,),
        )
        yield row("the virtual environment is half made", half_a_venv, 0, keeps=(FIRST,))
    else:
        yield row(
            "the checks' container is removed by another", container_removed, 4, 5, 14, keeps=(FIRST,), short=True
        )
        yield row("the checks' container is stopped by another", container_stopped, 14, keeps=(FIRST,))
        yield row("the image is removed between two runs", image_removed, 0, keeps=(FIRST,))
        yield row(
            "the image is removed before its checks", image_removed_meanwhile, 0, 5, says="passed|No such image|next: "
        )
        yield row("another image has taken the name", another_image, 0, keeps=(FIRST,))
        yield row("containers of other checkouts are on the engine", foreign_container, 0, keeps=(FIRST,))
