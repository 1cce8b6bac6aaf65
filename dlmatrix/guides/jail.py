"""Runs one command where it sees nothing of this machine but its programs: a script, called with a JSON document.

A world of its own in namespaces of mounts and processes: everything is read-only but the folders named, homes and
temporary folders are empty, and all processes end with the first. As root the command runs as nobody. Standard
library only; ends with the command's exit code, or with 125 where a namespace cannot be made.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import stat
import sys
from typing import Any

#: The exit code that says that nothing was run (docker's own).
REFUSED = 125
NOBODY = 65534
_NEW_MOUNTS, _NEW_USER, _NEW_PROCESSES = 0x20000, 0x10000000, 0x20000000
_BIND, _RECURSIVE, _PRIVATE, _REMOUNT, _READ_ONLY, _NO_SUID, _NO_DEVICES = 4096, 16384, 1 << 18, 32, 1, 2, 4
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [word.encode() if word else None for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def _read_only(path: str, recursive: bool, on: bool = True) -> None:
    """Set or take away a mount's read-only flag (mount_setattr, since Linux 5.12)."""
    words = (ctypes.c_uint64 * 4)(_READ_ONLY | _NO_SUID if on else 0, 0 if on else _READ_ONLY, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    done = _libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, ctypes.byref(words), ctypes.sizeof(words))
    _check(done, f"mount_setattr {path}")


def main(document: dict[str, Any]) -> int:
    """Run ``command`` and return its exit code. Keys: command, cwd, environ, masks, writable, readable, limits."""
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
    os.umask(0o022)  # the usual one: nobody is to get to what root makes here
    root = os.getuid() == 0
    uid, gid = os.getuid(), os.getgid()
    try:
        _check(_libc.unshare(_NEW_MOUNTS | _NEW_PROCESSES | (0 if root else _NEW_USER)), "unshare")
        if not root:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
    except OSError as error:
        sys.stderr.write(f"no world of its own can be made: {error}\n")
        return REFUSED
    child = os.fork()
    if child == 0:
        os._exit(_first(document, root))
    return _code(os.waitpid(child, 0)[1])


def _first(document: dict[str, Any], root: bool) -> int:
    """Process 1 of the world: sets it up, starts the command, reaps all, and ends everything with it."""
    _libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
    try:
        _furnish(document)
    except OSError as error:
        sys.stderr.write(f"no world of its own can be made: {error}\n")
        return REFUSED
    child = os.fork()
    if child == 0:
        _start(document, root)
    while True:
        ended, status = os.wait()
        if ended == child:
            return _code(status)


def _furnish(document: dict[str, Any]) -> None:
    _mount("", "/", "", _RECURSIVE | _PRIVATE)
    kept = [(path, os.open(path, os.O_PATH), True) for path in document["readable"]]
    kept += [(path, os.open(path, os.O_PATH), False) for path in document["writable"]]
    _read_only("/", recursive=True)
    for mask in document["masks"]:
        if not os.path.lexists(mask) or os.path.islink(mask):
            continue
        if stat.S_ISDIR(os.stat(mask).st_mode):
            _mount("tmpfs", mask, "tmpfs", _NO_SUID | _NO_DEVICES, "size=1g,mode=755")
        else:
            _mount("/dev/null", mask, "", _BIND)
    for path in ("/dev/shm", "/tmp", "/var/tmp"):  # noqa: S108 - the world's own
        if os.path.isdir(path):
            _mount("tmpfs", path, "tmpfs", _NO_SUID | _NO_DEVICES, "size=2g,mode=1777")
    for path, handle, read_only in kept:
        os.makedirs(path, exist_ok=True) if os.path.isdir(f"/proc/self/fd/{handle}") else _touch(path)
        _mount(f"/proc/self/fd/{handle}", path, "", _BIND)
        _read_only(path, recursive=False, on=read_only)
        os.close(handle)
    _mount("proc", "/proc", "proc", _NO_SUID | _NO_DEVICES)


def _touch(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY))


def _start(document: dict[str, Any], root: bool) -> None:
    limits = document["limits"]
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NPROC, limits["processes"])
    limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    try:
        os.chdir(document["cwd"])
        os.execve(document["command"][0], document["command"], document["environ"])  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"no world of its own can be entered: {error}\n")
        os._exit(REFUSED)


def limit(kind: int, most: int) -> None:
    """Set a limit; one that is lower already, as schedulers and administrators set it, stays."""
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.stdin.readline())))
