"""Which of a machine's GPUs an env is to use: what ``--gpus`` says, and how each kind of engine is told."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dlmatrix.errors import UsageError
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.matrix.plan import ALL, NONE

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: An index as nvidia-smi counts, a GPU's UUID, a MIG device's; the last is what drivers before R470 call one.
_NAME = re.compile(rf"(?:0|[1-9]\d{{0,3}})|(?:GPU|MIG)-{_UUID}|MIG-GPU-{_UUID}/\d+/\d+")


def parse(text: str) -> tuple[str, ...]:
    """The GPUs that ``all``, ``none`` or a list by commas names. Raises ValueError that says what is wrong."""
    if text in (*ALL, *NONE):
        return (text,)
    names = tuple(text.split(","))
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no GPU: write 0,2 or the UUIDs of `nvidia-smi -L`, or all, or none")
    if len(set(names)) != len(names):
        # CUDA hides every GPU from a process that is told one of them twice.
        raise ValueError(f"{text!r} names a GPU twice")
    return names


def environment(gpus: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process of this machine gets for its GPUs, on top of those that it has.

    What a scheduler has left visible stays the bound: raises UsageError for a GPU beyond it.
    """
    if gpus in ((), ALL):
        return {}
    if gpus == NONE:
        return {VISIBLE: ""}
    if VISIBLE not in environ:
        # Indexes mean what nvidia-smi shows, and not the order of speed that CUDA has by default.
        return {VISIBLE: ",".join(gpus), ORDER: "PCI_BUS_ID"}
    left = [name.strip() for name in environ[VISIBLE].split(",")]
    if beyond := [gpu for gpu in gpus if gpu not in left]:
        raise UsageError(
            f"--gpus {','.join(beyond)} is not among {VISIBLE}={environ[VISIBLE]}, which this shell's environment sets",
            f"name GPUs that are, as they are named there, or leave --gpus out; `unset {VISIBLE}` if it is your own",
        )
    return {VISIBLE: ",".join(gpus)}


def told(gpus: tuple[str, ...], environ: Mapping[str, str], added: Mapping[str, str]) -> str:
    """How a process of this machine was told of its GPUs, for reports; "" where nothing told it."""
    if VISIBLE in added:
        return f"{', '.join(gpus)} by {VISIBLE}={added[VISIBLE]}"
    return f"by {VISIBLE}={environ[VISIBLE]} of the environment" if VISIBLE in environ else ""


def chosen(rows: list[View], gpus: tuple[str, ...]) -> list[View]:
    """The GPUs, as NVML tells of them, that are to be used; all where it does not tell of one that is named."""
    if gpus in ((), ALL, NONE):
        return rows
    return [row for row in rows if _names(row) & set(gpus)] if not unknown(rows, gpus) else rows


def unknown(rows: list[View], gpus: tuple[str, ...]) -> list[str]:
    """Those of the named GPUs that NVML does not tell of."""
    if gpus in ((), ALL, NONE):
        return []
    return sorted(set(gpus) - {name for row in rows for name in _names(row)})


def _names(row: View) -> set[str]:
    return {str(row.get("index")), row.text("uuid"), *row.words("mig.instances")} - {""}
