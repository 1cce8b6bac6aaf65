"""What CUDA_VISIBLE_DEVICES chooses, read as the driver reads it.

Seen on driver 580.159.04 with one GPU: "0;1", " 0", "00", "0x0" and the first letters of a UUID choose it, "0,7" and
"0,-1" too; "", "-1", "7,0", "all" and the UUID of another GPU choose nothing; "0,0" makes cuInit return 101.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlmatrix.gpu.diagnosis.view import View


@dataclass(frozen=True)
class Choice:
    """The GPUs that a list names up to the first entry that names none, and the first GPU that it names twice."""

    gpus: tuple[str, ...]
    repeated: str


def chosen(value: str, count: int, view: View) -> Choice:
    """What `value` chooses of `count` GPUs, with their UUIDs (and those of MIG instances) as NVML tells them."""
    names = [_named(entry, count, view) for entry in value.split(",")]
    upto = names.index("") if "" in names else len(names)
    known = [name for name in names if name]
    repeated = next((name for name in known if known.count(name) > 1), "")
    return Choice(tuple(names[:upto]), repeated)


def _named(entry: str, count: int, view: View) -> str:
    """The GPU ("GPU 0") or MIG instance that an entry names, "" where it names none."""
    number = re.match(r"\s*\+?(?:0[xX]([0-9a-fA-F]{1,8})|(\d{1,9}))", entry)
    if number:  # what follows the number is not read
        index = int(number[1], 16) if number[1] else int(number[2])
        return f"GPU {index}" if index < count else ""
    first = entry.strip()
    if not first.startswith(("GPU-", "MIG-")):
        return ""
    for index, row in enumerate(view.rows("nvml.devices")):
        if row.text("uuid").startswith(first):
            return f"GPU {index}"
        for instance in row.words("mig.instances"):
            if instance.startswith(first):
                return instance
    return ""
