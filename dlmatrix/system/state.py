"""The working folder: what was built, which env is busy; and where reports go.

Both are in the checkout. Where there is none, or it cannot be written, they are the user's own: see ``state_folder``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.errors import BusyError, DlmatrixError
from dlmatrix.system.checkout import DATA
from dlmatrix.system.files import naming, read_limited, replace


def state_folder(root: Path) -> Path:
    """Where the working folder for a root is: .dlmatrix in a checkout that can be written, else the user's.

    The user's is $XDG_STATE_HOME/dlmatrix (default: ~/.local/state/dlmatrix), and in it a folder for each root; all
    installed packages share one, since only what fits what is asked for is used again.
    """
    if _writable(root):
        return root / ".dlmatrix"
    name = "installed" if root == DATA else f"{root.name}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
    return _user_folder() / name


def checkout_id(root: Path) -> str:
    """Tells the containers of a root's working folder, in which envs are held, from those of others on an engine.

    It does not say where the folder is.
    """
    return hashlib.sha256(f"{platform.node()}:{state_folder(root)}".encode()).hexdigest()[:16]


def state_dir(root: Path) -> Path:
    """The same folder, made when it is not there."""
    folder = state_folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if folder.parent == root or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DlmatrixError(
            f"{folder}: {error.strerror}", "name a folder that can be written: export XDG_STATE_HOME=DIR"
        ) from None
    return folder


def reports_folder(root: Path) -> Path:
    """Where reports go that nobody named a folder for.

    In a checkout that can be written; else in the current folder, or in the working folder where that is not to be
    written either (whoever uses another's checkout mostly stands in it).
    """
    if _writable(root):
        return root / "reports"
    here = Path.cwd()
    return (here if os.access(here, os.W_OK) else state_folder(root)) / "reports"


def _writable(root: Path) -> bool:
    inside = root / ".dlmatrix"
    return root != DATA and os.access(inside if inside.exists() else root, os.W_OK)


def _user_folder() -> Path:
    named = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(named):  # others count as not set, says the XDG specification
        return Path(named) / "dlmatrix"
    try:
        return Path.home() / ".local" / "state" / "dlmatrix"
    except RuntimeError:
        raise DlmatrixError(
            "there is no folder to work in: neither HOME nor XDG_STATE_HOME is set", "export XDG_STATE_HOME=DIR"
        ) from None


@contextlib.contextmanager
def exclusive(root: Path, env: str) -> Iterator[None]:
    """Hold an env for one run. The kernel lets go of it when the process ends, however it ends.

    Raises BusyError where another process holds it.
    """
    folder = state_dir(root) / "busy"
    folder.mkdir(exist_ok=True)
    with (folder / env).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read(20).decode("ascii", "replace").strip() or "unknown"
            raise BusyError(
                f"{env}: another run of it is under way (process {holder})",
                "wait for it to end, or stop it, then run this again",
            ) from None
        with naming(folder / env):
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        yield


def recall(root: Path, engine: str, env: str) -> dict[str, str]:
    """What ``remember`` last wrote; empty where nothing, or nothing readable, was."""
    try:
        found = json.loads(read_limited(_record(root, engine, env)))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def remember(root: Path, engine: str, env: str, **facts: str) -> None:
    """Write, in one step, what was built for an env."""
    file = _record(root, engine, env)
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, json.dumps(facts, sort_keys=True))


def remembered_at(root: Path, engine: str, env: str) -> int:
    """When what is remembered of an env was written, or last held, in nanoseconds since 1970; 0 where nothing is."""
    try:
        return _record(root, engine, env).stat().st_mtime_ns
    except OSError:
        return 0


def still_holds(root: Path, engine: str, env: str, when: int) -> None:
    """Note that what is remembered of an env still held then."""
    with contextlib.suppress(OSError):
        os.utime(_record(root, engine, env), ns=(when, when))


def _record(root: Path, engine: str, env: str) -> Path:
    return state_dir(root) / "built" / engine / f"{env}.json"
