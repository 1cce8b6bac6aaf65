"""Shared memory holds what data loaders hand over."""

from __future__ import annotations

import os

from smoke import distributions
from smoke.context import Context, Result, failed, passed

ID = "shared-memory"
KIND = "verify"
ASSERTS = "shared memory can be written and holds at least 64 MiB: a data loader's workers hand batches over in it"
APPLIES: dict[str, tuple[str, ...]] = {}

FOLDER = "/dev/shm"  # noqa: S108 - the folder itself is under test
#: Docker's default.
LEAST = 64 * 2**20
#: 64 images of 3x224x224 in float32.
BATCH = 64 * 3 * 224 * 224 * 4


def words(context: Context) -> str:
    """What comes of it, as this framework's version has it."""
    if context.framework != "torch":
        return "what processes share in it ends with SIGBUS"
    # pytorch/pytorch#161910, after 2.9: the file's space is taken when it is made, no longer when it is written.
    if distributions.release(context.distributions().get("torch", "")) >= (2, 10):
        return 'a data loader ends with "RuntimeError: unable to allocate shared memory"'
    return "a data loader's workers die of SIGBUS"


def run(context: Context) -> Result:
    """Its size, and whether it takes a file."""
    if not os.path.isdir(FOLDER) or not os.access(FOLDER, os.W_OK):
        return failed(FOLDER + " is missing or cannot be written; mount a tmpfs there", "writable", None)
    status = os.statvfs(FOLDER)
    size, free = status.f_frsize * status.f_blocks, status.f_frsize * status.f_bavail
    found = {"bytes": size, "free": free, "batches of 64x3x224x224": free // BATCH}
    if size < LEAST:
        reason = f"{FOLDER} has {size // 2**20} MiB; {words(context)}: run with --shm-size=1g"
        return failed(reason, LEAST, found)
    return passed(found, LEAST)
