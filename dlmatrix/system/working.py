"""What a process makes for the time of its own life, and how the next one removes what a killed one left.

A process that works in a checkout holds a folder ``tmp-…`` of the working folder. Its temporary files are in it, and
what else it starts bears its name: commands in their environment, containers in a label. The folder is held by a lock
on a file in it, and the kernel lets go of that when the process ends, however it ends: what bears the name of a
folder that nobody holds belongs to a run that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.system import process
from dlmatrix.system.files import naming, remove_tree, sweep
from dlmatrix.system.state import checkout_id, reports_folder, state_dir, state_folder

#: Names, to commands, the folder of the process that started them.
VARIABLE = "DLMATRIX_RUN"
_HELD = "held"
#: Seconds after which a folder without the file that holds one is nobody's: its process was killed as it made it.
_ABANDONED = 86400
#: How often, and after how many seconds again, killed processes are looked for: they may just have started others.
_ROUNDS, _PAUSE = 50, 0.1
#: Where Linux has a file system in memory for every user, and the room that there must be.
_MEMORY, _MEMORY_BYTES = Path("/dev/shm"), 512_000_000  # noqa: S108
#: The folder of this process for each working folder that it works in.
_own: dict[Path, Path] = {}
_labels: dict[str, str] = {}


@contextlib.contextmanager
def working(root: Path) -> Iterator[Path]:
    """Hold a folder for the block, which is the process's own; first remove what killed runs of a root left."""
    state = state_dir(root)
    remove_left(root)
    with _held(state) as folder:
        _own[state] = folder
        process.marks[VARIABLE] = str(folder)
        _labels.update({"dlmatrix.env": "", "dlmatrix.checkout": checkout_id(root), "dlmatrix.run": folder.name})
        try:
            yield folder
        finally:
            del _own[state], process.marks[VARIABLE]
            _labels.clear()


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A temporary folder inside the working folder (so that files can be linked into it), always removed."""
    state = state_dir(root)
    with contextlib.ExitStack() as stack:
        own = _own.get(state) or stack.enter_context(_held(state))
        folder = Path(tempfile.mkdtemp(dir=own))
        try:
            with naming(folder):
                yield folder
        finally:
            remove_tree(folder)


@contextlib.contextmanager
def in_memory(root: Path) -> Iterator[Path]:
    """A temporary folder for thousands of links and small files, which some disks take minutes to make and remove.

    It is in memory, where this machine has such a folder, else as of ``scratch``. What a killed run left is removed.
    """
    shared = _MEMORY / f"dlmatrix-{os.getuid()}"
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        about, room = shared.lstat(), os.statvfs(shared)
        fits = room.f_bavail * room.f_frsize >= _MEMORY_BYTES and about.st_uid == os.getuid()
        fits = fits and stat.S_ISDIR(about.st_mode) and os.access(shared, os.W_OK)
    except OSError:
        fits = False
    with contextlib.ExitStack() as stack:
        if fits:
            for left in [one for one in shared.glob("tmp-*") if not _is_held(one) and _is_over(one)]:
                remove_tree(left)
        yield stack.enter_context(_held(shared) if fits else scratch(root))


def labels() -> dict[str, str]:
    """The labels of a container that is no env's run, though its image may be an env's.

    By them the next run knows it where this process is killed.
    """
    return dict(_labels)


def alive(root: Path, run: str) -> bool:
    """Whether the process whose folder has this name still works."""
    return _is_held(state_folder(root) / run)


def remove_left(root: Path) -> None:
    """Remove what killed runs of a root left on this machine: processes, temporary folders, half-written files."""
    state = state_folder(root)
    for folder in (reports_folder(root), state, state / "built"):
        sweep(folder)
    left = [folder for folder in state.glob("tmp-*") if not _is_held(folder) and _is_over(folder)]
    _end_processes(left)
    for folder in left:
        remove_tree(folder)


@contextlib.contextmanager
def _held(state: Path) -> Iterator[Path]:
    folder = state / f"tmp-{secrets.token_hex(6)}"
    folder.mkdir(mode=0o700)
    try:
        with (folder / "new").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / "new").rename(folder / _HELD)  # there is no moment at which it is there and not held
            yield folder
    finally:
        remove_tree(folder)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / _HELD).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # locked, or another user's
        return True
    return False


def _is_over(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / _HELD).exists() or time.time() - folder.stat().st_mtime > _ABANDONED
    return False


def _end_processes(left: list[Path]) -> None:
    names = {os.fsencode(f"{VARIABLE}={folder}") for folder in left}
    for _ in range(_ROUNDS if names else 0):
        found = [int(one.name) for one in Path("/proc").glob("[0-9]*") if names & _environment(one)]
        for number in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        if not found:
            return
        time.sleep(_PAUSE)


def _environment(one: Path) -> set[bytes]:
    try:
        return set((one / "environ").read_bytes().split(b"\0"))
    except OSError:  # ended, or another user's
        return set()
