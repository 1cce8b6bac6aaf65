"""Checks are found by being there: every module of smoke/checks is one.

A check module has
  ID       its name, in lower case with hyphens
  KIND     verify, smoke, detection or throughput
  ASSERTS  one line: what holds when it passes
  APPLIES  {"frameworks": (...), "variants": (...)}; a key left out means all
  run(context) -> Result
and where it needs to:
  FRESH = True  it forks the process, so it runs before the framework has computed anything
  prepare(context)  what it needs before the framework has computed anything; called once the FRESH ones have run
  AFTER = True  it judges the framework's log or its throughput, so the parent runs it when the child has ended
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from smoke import variants

KINDS = ("verify", "smoke", "detection", "throughput")


class Check:
    """One check module, its attributes checked."""

    def __init__(self, module: Any) -> None:
        self.id = module.ID
        self.kind = module.KIND
        self.asserts = module.ASSERTS
        self.applies = module.APPLIES
        self.fresh = getattr(module, "FRESH", False)
        self.after = getattr(module, "AFTER", False)
        self.run = module.run
        self.prepare = getattr(module, "prepare", None)
        unknown = set(self.applies) - {"frameworks", "variants"}
        if self.kind not in KINDS or unknown:
            raise ValueError(f"{module.__name__}: KIND {self.kind!r}, APPLIES {self.applies!r}")

    def applies_to(self, framework: str, variant: str) -> bool:
        """Whether this check belongs to the framework and variant."""
        return framework in self.applies.get("frameworks", (framework,)) and variant in self.applies.get(
            "variants", (variant,)
        )

    def described(self) -> dict[str, Any]:
        """The entry of the document before anything has run."""
        return {
            "id": self.id,
            "kind": self.kind,
            "asserts": self.asserts,
            "outcome": "skipped",
            "reason": "not reached",
            "expected": None,
            "found": None,
            "seconds": 0.0,
            "data": {},
        }


def every() -> list[Check]:
    """All checks, in the order in which they run."""
    from smoke import checks

    names = sorted(found.name for found in pkgutil.iter_modules(checks.__path__))
    found = [Check(importlib.import_module("smoke.checks." + name)) for name in names]
    return sorted(found, key=lambda check: (KINDS.index(check.kind), not check.fresh))


def applying(framework: str, expect: dict[str, Any]) -> list[Check]:
    """The checks for this framework and for the variant expected, or the installed one where none is."""
    variant = expect.get("variant") or variants.installed(framework)
    return [check for check in every() if check.applies_to(framework, variant)]
