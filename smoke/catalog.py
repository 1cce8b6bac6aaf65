"""Checks are found by being there: every module of smoke/checks is one.

A check module has
  ID       its name, in lower case with hyphens
  KIND     verify, smoke, detection or throughput
  ASSERTS  one line: what holds when it passes
  APPLIES  {"frameworks": (...), "variants": (...)}; a key left out means all
  run(context) -> Result
and where it needs to:
  FIRST = True  it tries what all others need, so that what breaks there is told there
  FRESH = True  it forks the process, so it runs before the framework has computed anything
  prepare(context)  what it needs before the framework has computed anything; called once the FRESH ones have run
  AFTER = True  it judges the framework's log or its throughput, so the parent runs it when the child has ended

What a module declares is read from its text, as literals: most checks import NumPy, which may be missing or broken, and
a document is written all the same. A check is imported when it runs.
"""

from __future__ import annotations

import ast
import importlib
import os
from typing import Any

from smoke import variants

KINDS = ("verify", "smoke", "detection", "throughput")
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checks")


class Check:
    """One check module, or what it declares, its attributes checked."""

    def __init__(self, module: Any) -> None:
        self.id = module.ID
        self.kind = module.KIND
        self.asserts = module.ASSERTS
        self.applies = module.APPLIES
        self.first = getattr(module, "FIRST", False)
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


class Unimported:
    """What a check module declares; the module is imported when it is to do something."""

    def __init__(self, name: str) -> None:
        self.__name__ = "smoke.checks." + name
        with open(os.path.join(FOLDER, name + ".py"), encoding="utf-8") as stream:
            body = ast.parse(stream.read()).body
        for node in body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                self._declare(node.targets if isinstance(node, ast.Assign) else [node.target], node.value)
            elif isinstance(node, ast.FunctionDef) and node.name == "prepare":
                self.prepare = lambda context: self._module(context).prepare(context)

    def _declare(self, targets: list[ast.expr], value: ast.expr) -> None:
        try:
            literal = ast.literal_eval(value)
        except ValueError:  # computed: nothing that is declared
            return
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper():
                setattr(self, target.id, literal)

    def run(self, context: Any) -> Any:
        """What the module's own ``run`` gives."""
        return self._module(context).run(context)

    def _module(self, context: Any) -> Any:
        try:
            return importlib.import_module(self.__name__)
        except ImportError:
            if not getattr(self, "AFTER", False):
                # Most import NumPy: where the framework cannot be used either, the check imports has the cause.
                context.backend  # noqa: B018 - it raises SkipError
            raise


def every() -> list[Check]:
    """All checks, in the order in which they run."""
    names = sorted(stem for stem, extension in map(os.path.splitext, os.listdir(FOLDER)) if extension == ".py")
    found = [Check(Unimported(name)) for name in names if name != "__init__"]
    return sorted(found, key=lambda check: (not check.first, KINDS.index(check.kind), not check.fresh))


def applying(framework: str, expect: dict[str, Any]) -> list[Check]:
    """The checks for this framework and for the variant expected, or the installed one where none is."""
    variant = expect.get("variant") or variants.installed(framework)
    return [check for check in every() if check.applies_to(framework, variant)]
