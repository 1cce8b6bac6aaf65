"""Hostile text: out of an env, in the files of envs/, in locks and addresses."""

from __future__ import annotations

import contextlib
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.judge import SECRET, Fault
from tests.faults.stage import FIRST, Run, Stage

_TERMINAL = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\b"
_ON_DOCKER = {
    "out of the env: terminal escapes in a check's reason",
    "out of the env: 200 MB in one document",
    "out of the env: 200 MB of lists",
    "out of the env: 5 GB of output",
    "out of the env: nothing",
    "a wheel of the locked name with other bytes",
    "an index's address with a password does not answer",
}
_MARKUP = "<script>alert(1)</script>[bold red]x[/] ]]> &amp; `x` | @all"


#: What each key of an env's file has, as it stands there; without its first and last sign it is replaced.
_VALUES = {
    "a series": 'series = "torch"',
    "a version": 'version = "1.0.0"',
    "a Python": 'python = "3.11"',
    "a date": 'exclude-newer = "2026-11-01T00:00:00Z"',
    "a requirement": 'requirements = ["dlmatrix-tiny==1.0.0"]',
    "a status": 'status = "impossible"',
    "a reason": 'reason = "a test\'s env"',
}


def _inner(line: str) -> str:
    """The text between the quotes of a line of TOML."""
    return line.split('"')[1]


def acted(stage: Stage, **act: Any) -> Run:
    """What an env gives out instead of a passing document."""
    stage.act(**act)
    run = stage.run()
    stage.act()
    for name in ("report.html", "junit.xml", "summary.md"):
        file = run.report / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if "<script>alert(1)" in text or "\x1b" in text:
            run.text += f"Traceback: {name} holds what came out of the env raw"
    return run


@contextlib.contextmanager
def changed(file: Path, text: str | bytes) -> Iterator[None]:
    """A file that holds something else for a while."""
    before = file.read_bytes()
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    try:
        yield
    finally:
        file.write_bytes(before)


def env_file(stage: Stage, old: str, new: str, **changes: str) -> Run:
    """The env's file says something else."""
    file = stage.root / "envs" / "torch-1.0.toml"
    text = file.read_text()
    assert old in text
    with changed(file, text.replace(old, new, 1)):
        return stage.run(**changes)


def lock(stage: Stage, change: Callable[[str], str], **changes: str) -> Run:
    """The lock says something else."""
    file = stage.root / "envs" / "locks" / f"{FIRST}.txt"
    with changed(file, change(file.read_text())):
        return stage.run(**changes)


def other_wheel(stage: Stage) -> Run:
    """A wheel of the locked name that holds other bytes."""
    wheel = next((stage.folder / "wheels").glob("*-1.0.0-*.whl"))
    before = wheel.read_bytes()
    with zipfile.ZipFile(wheel, "a") as more:
        more.writestr("tiny/more.py", "")
    run = lock(stage, lambda text: f"{text}# other\n", UV_CACHE_DIR=str(stage.folder / "cache"))
    wheel.write_bytes(before)
    if run.code == 0:  # the builder's cache still has the right one: then that is what was installed
        look = ["docker", "run", "--rm", "--entrypoint", "find", f"dlmatrix:{FIRST}", "/opt/venv", "-name", "more.py"]
        found = subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip()
        run.text += f"Traceback: {found} was installed" if found else "not the one the lock names was left out"
    return run


def password(stage: Stage) -> Run:
    """An address of an index that has a password, and does not answer."""
    index = f"http://user:{SECRET}@127.0.0.1:9/simple"
    find = {
        "UV_FIND_LINKS": "",
        "UV_CACHE_DIR": str(stage.folder / "cache"),
        "DLMATRIX_CACHE_DIR": str(stage.folder / "no"),
    }
    return lock(stage, lambda text: f"{text}# {stage.runs}\n", UV_DEFAULT_INDEX=index, **find)


def faults(engine: str) -> Iterator[Fault]:
    """All of them in a virtual environment, and on Docker what comes to us by another way there."""
    return (fault for fault in _all(engine) if engine == "venv" or fault.title in _ON_DOCKER)


def _all(engine: str) -> Iterator[Fault]:

    def row(title: str, staged: Callable[[Stage], Run], *codes: int, **more: object) -> Fault:
        return Fault(title=title, stage=staged, engine=engine, codes=codes, **more)  # type: ignore[arg-type]

    def gives(title: str, *codes: int, says: str = "", short: bool = False, **act: Any) -> Fault:
        return row(f"out of the env: {title}", partial(acted, **act), *codes, says=says, short=short)

    failed: dict[str, Any] = {"outcome": "failed"}
    yield gives(
        "terminal escapes in a check's reason",
        1,
        says=r"\\x1b\[2J",
        short=engine == "venv",
        ends=1,
        check=failed | {"reason": _TERMINAL},
    )
    yield gives(
        "terminal escapes in a check's name", 1, ends=1, check=failed | {"id": f"x{_TERMINAL}", "reason": "because"}
    )
    yield gives("markup in a check's reason", 1, says="script", ends=1, check=failed | {"reason": _MARKUP})
    yield gives("half a character in a check's reason", 1, ends=1, check=failed | {"reason": "\ud800 half"})
    yield gives("200 MB in one document", 11, says="more than 8 MiB came out", pads=200_000_000)
    yield gives("200 MB of lists", 11, says="more than 8 MiB came out", lists=200_000_000)
    yield gives("a number that is none", 11, prints='{"schema_version": NaN}')
    yield gives("a document that is 200,000 lists deep", 11, says="not JSON|too deep", deep=200_000)
    yield gives("an integer of 10,000 digits", 11, prints='{"schema_version": ' + "9" * 10_000 + "}")
    yield gives("nothing", 11, says="without a document", prints="", ends=3)
    yield gives("half a document", 11, says="not JSON", prints='{"schema_version": 2, "che')
    yield gives("a document with words before it", 11, says="not JSON", prints='Hello {"schema_version": 2}')
    yield gives("a document that says passed, and exit code 1", 11, says="nothing went wrong", ends=1)
    yield gives("5 GB of output", 0, floods=80_000)
    yield gives("its own kill by SIGABRT after a document", 11, 14, kills=6)
    for key, old in _VALUES.items():
        yield row(
            f"terminal escapes in {key} of an env's file",
            partial(env_file, old=old, new=old.replace(_inner(old), r"\u001b[2J\u0007")),
            3,
            says="cannot be shown",
        )
        yield row(
            f"markup in {key} of an env's file",
            partial(env_file, old=old, new=old.replace(_inner(old), "[red]x[/] <b>")),
            3,
            *((0,) if key == "a reason" else ()),
        )
    yield row(
        "terminal escapes in a key of an env's file",
        partial(env_file, old="[cpu]", new='[cpu]\n"\\u001b[2J" = 1'),
        3,
        says=r"torch-1\.0\.toml",
    )
    yield row(
        "a number of 400 digits in an env's file",
        partial(env_file, old="size-budget-mb = 400", new=f"size-budget-mb = {'9' * 400}"),
        3,
        0,
    )
    yield row(
        "an env's file is cut off",
        partial(env_file, old='"dlmatrix-tiny==1.0.0"]', new='"dlm'),
        3,
        says=r"torch-1\.0\.toml",
    )
    yield row(
        "an env's file has an unknown key",
        partial(env_file, old="[cpu]", new="[cpu]\ncolour = 1"),
        3,
        says="colour",
    )
    yield row(
        "an env's file names a path as version",
        partial(env_file, old='"1.0.0"', new='"../../x"'),
        3,
        says="version",
    )
    yield row(
        "a lock's entry has no hash",
        partial(lock, change=lambda text: text.split(" \\")[0] + "\n"),
        3,
        says="has no sha256",
    )
    yield row(
        "a lock has an address",
        partial(lock, change=lambda text: f"{text}x @ https://example.invalid/x.whl\n"),
        3,
        says="only name==version",
    )
    yield row("a lock has -e .", partial(lock, change=lambda text: f"{text}-e .\n"), 3, says="only name==version")
    yield row(
        "a lock has an index option",
        partial(lock, change=lambda text: f"--index-url https://example.invalid\n{text}"),
        3,
        says="only name==version",
    )
    yield row(
        "terminal escapes in a lock", partial(lock, change=lambda text: f"{text}\x1b[2Jx\n"), 3, says=r"\\x1b\[2J"
    )
    yield row(
        "a lock names another version than its file",
        partial(lock, change=lambda text: text.replace("1.0.0", "1.0.1")),
        3,
        says="nox -s lock",
    )
    yield row(
        "a wheel of the locked name with other bytes",
        other_wheel,
        *((6,) if engine == "venv" else (6, 0)),
        says="not the (one|file that) the lock names",
    )
    yield row("an index's address with a password does not answer", password, 7, 5, says=r"127\.0\.0\.1|index")
