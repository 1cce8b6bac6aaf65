"""A checkout to break, and a run of it that is watched."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import docker

from dlmatrix.system.checkout import find_root
from dlmatrix.system.state import checkout_id
from tests.image.tiny import add_tiny
from tests.signals import heard
from tests.unit import documents

ROOT = find_root(Path(__file__).parent)
#: Two envs of small wheels: the checks of the second begin and never end.
FIRST, SECOND = "cpu-torch-1.0", "cpu-torch-1.1"
#: Seconds until a run that does not end, or a moment that does not come, is a failure of its own.
PATIENCE = 600.0


@dataclass
class Run:
    """A run under way, and then how it ended."""

    process: subprocess.Popen[str]
    report: Path
    text: str = ""
    code: int | None = None

    def until(self, words: str) -> None:
        """Read until a line has these words."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.text += line
            if words in line:
                return
        raise AssertionError(f"the run ended before {words!r}:\n{self.text[-2000:]}")

    def finish(self) -> Run:
        """Read the rest, and wait for the end."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        self.text += out
        self.code = self.process.returncode
        return self


@dataclass
class Stage:
    """A checkout of its own, on an engine; its working folder, reports and temporary folder are in ``folder``."""

    folder: Path
    engine: str
    client: Any = None
    environ: dict[str, str] = field(default_factory=dict)
    #: what the last fault's run showed, for the judge
    runs: int = 0
    _latest: Run | None = None

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.folder / "checkout"

    @property
    def state(self) -> Path:
        """Its working folder."""
        return self.root / ".dlmatrix"

    def act(self, *, second_ends: bool = False, **acts: Any) -> None:
        """What the stand-in does in the first env, from now on; in the second its checks only end where asked to."""
        said = json.dumps({FIRST: acts, SECOND: {} if second_ends else {"waits": True}}, sort_keys=True)
        (self.root / "smoke" / "acts.json").write_text(said)

    def start(
        self,
        *arguments: str,
        pause: str = "",
        when: str = "before",
        nox: bool = False,
        output: int = subprocess.PIPE,
        within: tuple[str, ...] = (),
        **changes: str,
    ) -> Run:
        """Start a run of the first env, or what is named; ``pause`` is the function to stop at.

        ``within`` is a command that starts the one that follows it.
        """
        self.runs += 1
        report = self.folder / f"report-{self.runs}"
        words = list(arguments) or ["run", FIRST]
        if words[0] == "run":
            words += [] if "--engine" in words else ["--engine", self.engine]
            words += [] if "--report" in words else ["--report", str(report)]
            words += ["--throughput", "0"]
        elif words[0] == "closure":
            words += ["--engine", self.engine]
        module = ["dlmatrix"]
        if pause:
            for name in ("ready", "go"):
                (self.folder / name).unlink(missing_ok=True)
                os.mkfifo(self.folder / name)
            module = ["tests.faults.pause", pause, when, str(self.folder / "ready"), str(self.folder / "go")]
        command = [sys.executable, "-m", *module, *words]
        if nox:
            name, *rest = words[1:]
            command = [sys.executable, "-m", "nox", "-f", str(self.root / "noxfile.py"), "-s", name, "--", *rest]
        command = [*within, *command]
        environ = os.environ | {"PYTHONPATH": str(ROOT), **self.environ, **changes}
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            preexec_fn=heard,  # noqa: PLW1509
        )
        self._latest = Run(process, report)
        return self._latest

    def moment(self) -> None:
        """Wait until the run has come to the function that it stops at; one that ends before it is a failure."""
        ready = os.open(self.folder / "ready", os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll(partial(_came, ready, self._latest))
        finally:
            os.close(ready)

    def go_on(self) -> None:
        """Let it go on."""
        (self.folder / "go").write_text("")

    def run(self, *arguments: str, **changes: str) -> Run:
        """Run to the end."""
        return self.start(*arguments, **changes).finish()

    def processes(self) -> list[int]:
        """Processes that runs of this checkout started, by the variable that they bear."""
        mark = os.fsencode(f"DLMATRIX_RUN={self.state}/")
        return [int(one.name) for one in Path("/proc").glob("[0-9]*") if mark in _environ(one)]

    def containers(self) -> list[Any]:
        """Containers of this checkout."""
        if self.client is None:
            return []
        wanted = f"dlmatrix.checkout={checkout_id(self.root)}"
        return list(self.client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))

    def left(self) -> list[str]:
        """All that no run may leave: processes, containers, temporary folders, half-written files, held envs."""
        found = [f"process {_command(number)}" for number in self.processes()]
        found += [f"container {one.name} of {one.labels.get('dlmatrix.run')}" for one in self.containers()]
        found += [str(path) for path in self.state.glob("tmp-*")]
        found += [str(path) for path in (self.root / "reports").rglob(".*.[0-9]*-[0-9]*")]
        found += [str(path) for path in (self.state / "built").rglob(".*.[0-9]*-[0-9]*")]
        found += [str(path) for path in (self.state / "venvs").glob(".*")]
        found += [f"{file} is locked" for file in (self.state / "busy").glob("*") if _locked(file)]
        found += [str(path) for path in (self.folder / "cache" / "layers").glob("tmp-*")]
        temporary = self.environ.get("TMPDIR")
        found += [str(path) for path in Path(temporary).iterdir()] if temporary and Path(temporary).is_dir() else []
        return found


def _came(ready: int, run: Run | None) -> bool:
    """Whether a run that stops at a function has said so."""
    ended = run is None or run.process.poll() is not None
    with contextlib.suppress(BlockingIOError):  # it is about to say it
        if os.read(ready, 64):
            return True
    if ended:
        raise AssertionError(
            f"the run ended before it came to where it stops:\n{run.finish().text[-2000:] if run else ''}"
        )
    return False


def poll(what: Callable[[], Any]) -> Any:
    """What becomes true; a moment that never comes is a failure."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("the moment never came")


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "1m", *, full: bool = True, read_only: bool = False) -> Iterator[Path]:
    """A file system of its own at a folder: full to the last byte, or read-only; what was in it stays below."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        if full:
            fill(folder)
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave not a byte."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


@contextlib.contextmanager
def stage(engine: str) -> Iterator[Stage]:
    """A fresh stage on an engine, whose env has been built and passed once."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dlmatrix-faults-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        client = docker.from_env() if engine == "docker" else None
        made = Stage(folder, engine, client)
        if client:
            stack.callback(client.close)
            stack.callback(_clear, made)
        _furnish(made)
        first = made.run("run", FIRST)
        assert first.code == 0, first.text
        assert made.left() == []
        yield made


def _clear(made: Stage) -> None:
    """Remove what is on the engine."""
    for one in made.containers():
        one.remove(force=True)
    for name in (FIRST, SECOND):
        with contextlib.suppress(docker.errors.DockerException):
            made.client.images.remove(f"dlmatrix:{name}")


def _furnish(made: Stage) -> None:
    root, wheels = made.root, made.folder / "wheels"
    for name in ("docker", "smoke"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "envs" / "locks").mkdir(parents=True)
    for name in ("bases.toml", "compatibility.toml"):
        shutil.copy(ROOT / "envs" / name, root / "envs")
    add_tiny(root, wheels)
    add_tiny(root, wheels, "1.1.0")
    shutil.copy(Path(__file__).with_name("stand_in.py"), root / "smoke" / "__main__.py")
    (root / "smoke" / "passed.json").write_text(json.dumps(documents.document(documents.check("stand-in"))))
    made.act()
    (made.folder / "tmp").mkdir()
    made.environ |= {"UV_FIND_LINKS": str(wheels), "TMPDIR": str(made.folder / "tmp")}
    made.environ["DLMATRIX_CACHE_DIR"] = str(made.folder / "cache")
    made.environ["UV_CACHE_DIR"] = str(made.folder / "uv")  # an installed file is one of it, and some are edited
    made.environ["XDG_STATE_HOME"] = str(made.folder / "state")


def _environ(one: Path) -> bytes:
    try:
        return (one / "environ").read_bytes()
    except OSError:
        return b""


def _command(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
    except OSError:
        return str(number)


def _locked(file: Path) -> bool:
    import fcntl

    with file.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
