"""Which code runs on which card; one table of cases holds this rule and that of smoke/gpu.py together."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A code's target: machine code (sm) or intermediate code (compute), major, minor, and the letter of a narrower one.
ARCHITECTURE = re.compile(r"(sm|compute)_(\d{1,3})(\d)([a-z]?)")

MACHINE_CODE, COMPILED_FIRST = "sass", "ptx"


def runs_on(architecture: str, capability: tuple[int, int]) -> str | None:
    """How code for one architecture (sm_86, compute_90, sm_90a, …) runs on a card: sass, ptx, or None.

    Machine code runs on the same major with an equal or later minor, intermediate code on anything as new or newer.
    Code for an architecture with an ``a`` runs on exactly that one, with an ``f`` on its family: the same major, an
    equal or later minor (CUDA C++ Programming Guide, compute capabilities).
    """
    match = ARCHITECTURE.fullmatch(architecture)
    if not match:
        return None
    kind, major, minor, narrower = match.groups()
    target = (int(major), int(minor))
    if narrower not in ("", "a", "f"):
        return None
    if narrower == "a":
        fits = target == capability
    elif narrower == "f" or kind == "sm":
        fits = target[0] == capability[0] and target <= capability
    else:
        fits = target <= capability
    return (MACHINE_CODE if kind == "sm" else COMPILED_FIRST) if fits else None


def best(architectures: Iterable[str], capability: tuple[int, int]) -> str | None:
    """The better of the ways in which code for these architectures runs on a card, None where none does."""
    ways = {runs_on(architecture, capability) for architecture in architectures}
    return next((way for way in (MACHINE_CODE, COMPILED_FIRST) if way in ways), None)
