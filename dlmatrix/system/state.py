"""The checkout's own working folder, .dlmatrix/: what was built, which env is busy, temporary files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.errors import BusyError
from dlmatrix.system.files import replace


def state_dir(root: Path) -> Path:
    """The folder, made when it is not there."""
    folder = root / ".dlmatrix"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def exclusive(root: Path, env: str) -> Iterator[None]:
    """Hold an env for one run. The kernel lets go of it when the process ends, however it ends.

    Raises BusyError where another process holds it.
    """
    folder = state_dir(root) / "busy"
    folder.mkdir(exist_ok=True)
    with (folder / env).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BusyError(
                f"{env}: another run of it is under way (process {file.read().strip() or 'unknown'})",
                "wait for it to end, or stop it, then run this again",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A temporary folder inside the state folder (so that files can be linked into it), always removed."""
    folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=state_dir(root)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def recall(root: Path, engine: str, env: str) -> dict[str, str]:
    """What ``remember`` last wrote; empty where nothing, or nothing readable, was."""
    try:
        found = json.loads(_record(root, engine, env).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def remember(root: Path, engine: str, env: str, **facts: str) -> None:
    """Write, in one step, what was built for an env."""
    file = _record(root, engine, env)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, json.dumps(facts, sort_keys=True))


def _record(root: Path, engine: str, env: str) -> Path:
    return state_dir(root) / "built" / engine / f"{env}.json"
