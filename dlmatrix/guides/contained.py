"""One command in a world of its own: limits of time, output and disk, and nothing left when it ends.

``jail.py`` makes the world; what is here starts it, reads what it says, and ends it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from dlmatrix.errors import SkippedEnv
from dlmatrix.guides.jail import REFUSED
from dlmatrix.system.process import ended_by_interrupts, marks, signals_held

#: Bytes of output that are kept, of the beginning and of the end each.
_KEPT = 500_000
#: Bytes that a command may print, processes that it may have, bytes of one file, and bytes of disk.
MOST_OUTPUT, MOST_PROCESSES, MOST_FILE, MOST_DISK = 64 << 20, 2000, 4 << 30, 12 << 30
#: What is empty or absent in a world: where people and services keep what is theirs.
_MASKS = ("/root", "/home", "/run", "/mnt", "/media", "/srv", "/etc/ssh", "/etc/uv", "/etc/pip.conf", "/etc/xdg/pip",
          "/etc/docker", "/etc/shadow", "/etc/gshadow", "/etc/netrc", "/var/lib/docker", "/var/spool")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: ``why`` says which limit ended it, else nothing."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a command may see beside the system's programs: folders to write in, and folders to read."""

    writable: tuple[Path, ...]
    readable: tuple[Path, ...] = ()
    #: homes and the checkout, which are hidden with all in them
    hidden: tuple[Path, ...] = field(default=())


def run_contained(
    command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], around: Surroundings, timeout_seconds: float
) -> Ended:
    """Run a command to its end, or to that of its time, output or disk.

    Raises SkippedEnv where this machine lets nobody make a world.
    """
    document = {
        "command": list(command),
        "cwd": str(cwd),
        "environ": dict(environ),
        "masks": masked(around),
        "writable": list(map(str, around.writable)),
        "readable": list(map(str, around.readable)),
        "limits": {"processes": MOST_PROCESSES, "file_bytes": MOST_FILE},
    }
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        with signals_held():
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-I", str(Path(__file__).with_name("jail.py"))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    env={"PATH": "/usr/bin:/bin", **marks},
                )
            )
            stack.callback(_end, process)
            stack.enter_context(ended_by_interrupts(lambda number: _end(process)))
        with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as stdin:
            stdin.write(json.dumps(document).encode() + b"\n")
        said = [_Said(cast(IO[bytes], stream)) for stream in (process.stdout, process.stderr)]
        why = _watch(process, said, started + timeout_seconds, timeout_seconds, around.writable[0])
        exit_code = process.wait()
        out, err = (one.text() for one in said)
    if exit_code == REFUSED and "no world of its own" in err:
        step = "allow user namespaces, or run as root outside a container"
        if "mount_setattr" in err and os.strerror(errno.ENOSYS) in err:
            step = "use a machine whose kernel is Linux 5.12 or newer"
        elif "can be entered" in err:
            step = "let others into the folders above the checkout (chmod o+x), or run as a user who is not root"
        raise SkippedEnv(f"could not look: {err.strip()}", step)
    return Ended(exit_code=exit_code, stdout=out, stderr=err, seconds=time.monotonic() - started, why=why)


def masked(around: Surroundings) -> list[str]:
    """The folders and files that a command is not to see, none below another.

    A home may be a link (/home to /var/home): what is hidden is what it leads to. There may be no home at all.
    """
    homes = {*map(str, around.hidden), *_MASKS, os.path.expanduser("~")}
    hidden = sorted({os.path.realpath(one) for one in homes if os.path.isabs(one)} - {"/"})
    return [mask for mask in hidden if not any(mask.startswith(f"{other}/") for other in hidden)]


def _watch(process: subprocess.Popen[bytes], said: list[_Said], until: float, limit: float, place: Path) -> str:
    """Wait for the end, or end it: why, or nothing."""
    free = _free(place)
    while True:
        try:
            process.wait(0.5)
            return ""
        except subprocess.TimeoutExpired:
            pass
        why = ""
        if time.monotonic() > until:
            why = f"it did not end in {limit:.0f} s"
        elif sum(one.size for one in said) > MOST_OUTPUT:
            why = f"it printed more than {MOST_OUTPUT >> 20} MB"
        elif free - _free(place) > MOST_DISK and _size(place) > MOST_DISK:
            why = f"it wrote more than {MOST_DISK >> 30} GB"
        elif _free(place) < 1 << 30:
            why = "less than 1 GB of disk is left"
        if why:
            _end(process)
            return why


class _Said:
    """What comes out of a pipe: its beginning and its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.size = 0
        self._stream, self._head, self._tail = stream, b"", b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while piece := os.read(self._stream.fileno(), 65536):
                self.size += len(piece)
                room = _KEPT - len(self._head)
                self._head += piece[: max(room, 0)]
                self._tail = (self._tail + piece[max(room, 0) :])[-_KEPT:]

    def text(self) -> str:
        """All of it, or its two ends."""
        self._thread.join(5)
        middle = b"\n...\n" if self.size > len(self._head) + len(self._tail) else b""
        return (self._head + middle + self._tail).decode("utf-8", "replace")


def ends_of(said: bytes) -> str:
    """An output as text: all of it, or its two ends."""
    middle = b"\n...\n" if len(said) > 2 * _KEPT else b""
    return (said if not middle else said[:_KEPT] + middle + said[-_KEPT:]).decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole world: its first process dies with its parent, and all others with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def _size(place: Path) -> int:
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total
