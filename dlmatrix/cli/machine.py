"""The options that say what of the machine an env is given."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from dlmatrix.cli.parser import Parser
from dlmatrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlmatrix.matrix.model import Env
    from dlmatrix.matrix.plan import Limits

_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
#: What a Docker engine takes at least.
_LEAST_MEMORY, _LEAST_CPUS = 6 << 20, 0.01


def add_gpus(parser: Parser) -> None:
    """``--gpus``."""
    parser.add_argument(
        "--gpus",
        type=gpus,
        metavar="WHICH",
        help="0,2 as nvidia-smi counts, or UUIDs of GPUs and MIG devices; all (the default); none",
    )


def refuse_gpus(named: tuple[str, ...] | None, envs: Sequence[Env]) -> None:
    """Raise UsageError where GPUs are named, and no env would use one."""
    from dlmatrix.matrix.plan import NONE

    if named not in (None, NONE) and not any(env.variant == "gpu" for env in envs):
        raise UsageError("--gpus names GPUs, and none of the envs is for one", "name a gpu env, or leave it out")


def gpus_not_here(facts: object, named: tuple[str, ...]) -> str:
    """What is to be said where GPUs are named that NVML, as a facts document has it, does not tell of; else ""."""
    from dlmatrix.gpu.diagnosis.view import View
    from dlmatrix.gpu.selection import unknown

    rows = View(facts, place="host").rows("nvml.devices")
    missing = unknown(rows, named)
    if missing and not rows:  # it may be broken, and the GPU there
        return f"--gpus {','.join(missing)}: NVML tells of no GPU here"
    here = ", ".join(str(row.get("index")) for row in rows)
    return f"--gpus {','.join(missing)}: not on this machine, which has {here}" if missing else ""


def add_limits(parser: Parser) -> None:
    """``--memory``, ``--cpus`` and ``--shm-size``, as ``docker run`` has them."""
    parser.add_argument("--memory", type=memory, metavar="SIZE", help="of a container, swap included (default: 8g)")
    parser.add_argument("--cpus", type=cpus, metavar="NUMBER", help="of a container, 1.5 for one (default: all)")
    parser.add_argument("--shm-size", type=size, metavar="SIZE", help="of a container's /dev/shm (default: 1g)")


def add_newest(parser: Parser) -> None:
    """``--newest``."""
    parser.add_argument(
        "--newest", action="store_true", help="of gpu-torch the newest, not the newest that this machine can run"
    )


def limits_of(memory: int | None, cpus: float | None, shm_size: int | None) -> Limits:
    """The limits of a container: those that the command line names, and for the others what is usual."""
    from dlmatrix.matrix.plan import Limits

    usual = Limits()
    return Limits(
        memory_bytes=memory or usual.memory_bytes, cpus=cpus or usual.cpus, shm_bytes=shm_size or usual.shm_bytes
    )


def size(text: str) -> int:
    """Bytes, from a size as Docker writes it: ``512m``, ``1.5g``, ``2gib``, or bytes alone."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?) ?([bkmgt]?)(?:i?b)?", text.lower())
    found = int(float(match[1]) * 1024 ** _UNITS[match[2]]) if match else 0
    if not 0 < found < 1 << 62:
        raise ArgumentTypeError(f"{text!r} is no size: write it like 512m or 1.5g")
    return found


def memory(text: str) -> int:
    """A size that a container can start with."""
    found = size(text)
    if found < _LEAST_MEMORY:
        raise ArgumentTypeError(f"{text!r} is less than the 6m that a container starts with; 2g suits a framework")
    return found


def cpus(text: str) -> float:
    """A number of processors."""
    found = float(text) if re.fullmatch(r"\d{0,6}\.?\d{0,9}", text) and re.search(r"\d", text) else 0.0
    if found < _LEAST_CPUS:
        raise ArgumentTypeError(f"{text!r} is no number of processors: write it like 2 or 1.5")
    return found


def gpus(text: str) -> tuple[str, ...]:
    """The GPUs that a word of the command line names."""
    from dlmatrix.gpu.selection import parse

    try:
        return parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
