"""Runs on a machine of a fleet: what there is of it, and how a part that was copied comes to its place.

    python3 - reach BASE PARTS  its Python, its room, and the parts that came before
    python3 - unpack BASE KEY   put the part that was copied to BASE/parts/KEY.tar in its place

Sent through stdin, as supervisor.py beside it is. A part's key is the SHA-256 of its tar; PARTS is JSON in base64: the
bytes of each part that is needed, by its key.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tarfile
from typing import Any

#: Bytes below which a disk counts as full: it has room for no end of any checks.
LEAST = 1 << 20


def reach(options: argparse.Namespace) -> dict[str, Any]:
    """What there is of this machine."""
    base = folder = os.path.expanduser(options.base)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "/"
    room = os.statvfs(folder)
    parts, free = os.path.join(base, "parts"), room.f_bavail * room.f_frsize
    there = sorted(name for name in (os.listdir(parts) if os.path.isdir(parts) else ()) if "." not in name)
    needed = json.loads(base64.b64decode(options.more))
    # Each lies there twice for a moment, packed and unpacked.
    room_for = LEAST + 2 * sum(size for key, size in needed.items() if key not in there)
    if free < room_for or (room.f_files and not room.f_favail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
    if not os.access(folder, os.W_OK):
        raise OSError(errno.EROFS if room.f_flag & os.ST_RDONLY else errno.EACCES, "cannot be written", folder)
    os.makedirs(parts, mode=0o700, exist_ok=True)
    return {"python": "{}.{}".format(*sys.version_info[:2]), "free": free, "parts": there}


def unpack(options: argparse.Namespace) -> dict[str, Any]:
    """Put a part in its place, once it is whole; what was copied is taken away."""
    parts = os.path.join(os.path.expanduser(options.base), "parts")
    copied, there = os.path.join(parts, options.more + ".tar"), os.path.join(parts, options.more)
    aside = there + ".new"
    try:
        digest = hashlib.sha256()
        with open(copied, "rb") as stream:
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
        if digest.hexdigest() != options.more:
            sys.exit("what was copied is not what was sent: " + options.more)
        shutil.rmtree(aside, ignore_errors=True)
        with tarfile.open(copied) as archive:
            archive.extractall(aside)  # noqa: S202 - the digest is the sender's
        if not os.path.isdir(there):
            os.rename(aside, there)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(copied)
    return {"state": "unpacked", "key": options.more}


def main(arguments: list[str] | None = None) -> None:
    """Carry out one call."""
    this = argparse.ArgumentParser(prog="arrival")
    verbs = this.add_subparsers(dest="verb")
    for verb, act in (("reach", reach), ("unpack", unpack)):
        one = verbs.add_parser(verb)
        one.set_defaults(act=act)
        one.add_argument("base")
        one.add_argument("more")
    options = this.parse_args(arguments)
    try:
        print(json.dumps(options.act(options)))
    except OSError as problem:
        sys.exit(f"{problem.strerror}: {problem.filename or ''}")


if __name__ == "__main__":
    main()
