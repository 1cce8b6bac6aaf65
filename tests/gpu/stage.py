"""Stages a fault for one command: ``python stage.py SPEC COMMAND…`` changes this process, then becomes the command.

SPEC is a `Staging` as JSON. What cannot be staged here ends with NOT_STAGED and one line on stderr that says why.
Alone on purpose: it runs before anything of the project is imported, as any user.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import stat
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

NOT_STAGED = 97
#: sched.h, sys/mount.h, sys/prctl.h
_NEW_NAMESPACE, _NEW_USER = 0x00020000, 0x10000000
_NOSUID, _BIND, _MOVE, _RECURSIVE, _PRIVATE = 0x2, 0x1000, 0x2000, 0x4000, 0x40000
_DEATH_SIGNAL, _KEEP_CAPABILITIES, _NO_NEW_PRIVILEGES, _AMBIENT, _RAISE = 1, 8, 38, 47, 2
#: linux/capability.h
_VERSION, _READ_SEARCH = 0x20080522, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


class NotStagedError(Exception):
    """This machine does not let this process stage it."""


@dataclass(frozen=True, kw_only=True)
class Staging:
    """What is made wrong for one command."""

    #: an empty folder of this run, which others may enter; the mounts stand in it, and nothing stays in it but names
    scratch: str
    #: bytes and pieces; 0 for no limit
    address_space: int = 0
    open_files: int = 0
    #: bytes of /dev/shm; 0 as it is
    shm: int = 0
    #: device nodes that are absent, and those that only root may open
    missing: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    #: files in whose place an empty one stands, and folders in whose place an empty one stands
    emptied: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    #: 0 to stay who one is
    user: int = 0

    def dumps(self) -> str:
        """The argument that stands for it on a command line."""
        return json.dumps(asdict(self))


def loads(text: str) -> Staging:
    """The Staging that `dumps` wrote."""
    data = json.loads(text)
    listed = {f.name for f in fields(Staging) if f.default == ()}
    return Staging(**{key: tuple(value) if key in listed else value for key, value in data.items()})


def enter(spec: Staging) -> None:
    """Make this process a patient. Raises NotStagedError or OSError; the process is of no other use afterwards."""
    if spec.user and os.geteuid() != 0:
        raise NotStagedError("only root can become another user")
    if spec.missing or spec.closed or spec.emptied or spec.hidden or spec.shm:
        _own_namespace(needs_nodes=bool(spec.missing or spec.closed))
        _mounts(spec)
    # No program that is set to another user's rights (nvidia-modprobe) mends what was staged.
    _prctl(_NO_NEW_PRIVILEGES, 1)
    if spec.user:
        _become(spec.user)
    _prctl(_DEATH_SIGNAL, signal.SIGKILL)  # a change of user resets it
    for limit, value in ((resource.RLIMIT_AS, spec.address_space), (resource.RLIMIT_NOFILE, spec.open_files)):
        if value:
            resource.setrlimit(limit, (value, value))


def _become(user: int) -> None:
    """Another user, who may still read every file: the interpreter can lie in root's own folder. Nodes are written."""
    _prctl(_KEEP_CAPABILITIES, 1)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    bit = 1 << _READ_SEARCH
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    _checked("a capability", _LIBC.capset(header, sets))
    _prctl(_AMBIENT, _RAISE, _READ_SEARCH)


def _own_namespace(*, needs_nodes: bool) -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _checked("a mount namespace", _LIBC.unshare(_NEW_NAMESPACE))
    elif needs_nodes:
        raise NotStagedError("only root can make device nodes")
    else:
        _checked("a user namespace", _LIBC.unshare(_NEW_NAMESPACE | _NEW_USER))
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", file).write_text(text, encoding="ascii")
    _mount("", "/", "", _RECURSIVE | _PRIVATE)  # what is mounted from here on, nobody else sees


def _mounts(spec: Staging) -> None:
    scratch = Path(spec.scratch)
    if spec.missing or spec.closed:
        _own_nodes(scratch / "dev", set(spec.missing), set(spec.closed))
    if spec.shm:
        _mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID, f"size={spec.shm},mode=1777")
    for folder in spec.hidden:
        _mount("tmpfs", folder, "tmpfs", _NOSUID, "mode=755")
    if spec.emptied:
        empty = scratch / "empty"
        empty.touch(0o644)
        for file in spec.emptied:
            _mount(str(empty), file, "", _BIND)


def _own_nodes(folder: Path, missing: set[str], closed: set[str]) -> None:
    """A /dev of this namespace's own, in which the GPU's nodes are copies: the real ones are never changed."""
    folder.mkdir(exist_ok=True)
    _mount("tmpfs", str(folder), "tmpfs", _NOSUID, "mode=755")
    for entry in os.scandir("/dev"):
        to, status = folder / entry.name, entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            to.symlink_to(os.readlink(entry.path))
        elif stat.S_ISDIR(status.st_mode):
            to.mkdir()
            _mount(entry.path, str(to), "", _BIND | _RECURSIVE)
        elif entry.path in closed or (entry.name.startswith("nvidia") and entry.path not in missing):
            _copy(status, to, closed=entry.path in closed)
        elif entry.path not in missing:
            to.touch()
            _mount(entry.path, str(to), "", _BIND)
    _mount(str(folder), "/dev", "", _MOVE)


def _copy(status: os.stat_result, to: Path, *, closed: bool) -> None:
    os.mknod(to, status.st_mode, status.st_rdev)
    os.chown(to, 0 if closed else status.st_uid, 0 if closed else status.st_gid)
    to.chmod(0o600 if closed else stat.S_IMODE(status.st_mode))


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    texts = [ctypes.c_char_p(os.fsencode(text) if text else None) for text in (source, target, kind)]
    code = _LIBC.mount(*texts, ctypes.c_ulong(flags), ctypes.c_char_p(data.encode() or None))
    _checked("a mount", code)


def _prctl(option: int, value: int, more: int = 0) -> None:
    values = [ctypes.c_ulong(number) for number in (value, more, 0, 0)]
    _checked("a setting of the process", _LIBC.prctl(option, *values))


def _checked(what: str, code: int) -> None:
    if code != 0:
        raise NotStagedError(f"{what}: {os.strerror(ctypes.get_errno())}")


def main(arguments: list[str]) -> int:
    """Returns only where the command was not started."""
    try:
        enter(loads(arguments[0]))
        os.execvp(arguments[1], arguments[1:])  # noqa: S606 - to become the command is what this is for
    except NotStagedError as error:
        print(f"not staged: {error}", file=sys.stderr)
    except OSError as error:  # without the file: paths of a machine do not belong in a table
        print(f"not staged: {error.strerror}", file=sys.stderr)
    return NOT_STAGED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
