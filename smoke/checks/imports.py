"""The framework and NumPy import, and the framework's own test of itself does not refuse."""

from __future__ import annotations

import importlib
from typing import Any, Callable

from smoke import blame
from smoke.context import Context, Result, failed, passed

ID = "imports"
KIND = "verify"
ASSERTS = "the framework and NumPy can be imported in one process"
APPLIES: dict[str, tuple[str, ...]] = {}
FIRST = FRESH = True


def run(context: Context) -> Result:
    """Import; the exception is the finding."""
    module = "torch" if context.framework == "torch" else "tensorflow"
    # First, and by itself: what fails here is NumPy's, and a framework without it may do for its user.
    text, numpy = _tried(lambda: importlib.import_module("numpy"))
    if text:
        other, _ = _tried(lambda: importlib.import_module(module))
        alone = f"{module} cannot be imported either: {other}" if other else f"{module} itself can be imported"
        words = f"NumPy, in which these checks compute, cannot be imported: {text}; {blame.advice(text)}; {alone}"
        return failed(words, "no exception", text)
    text, backend = _tried(context.load)
    if text:
        return failed(f"the import raises {text}; {blame.advice(text)}", "no exception", text)
    return passed(dict(backend.versions(), numpy=numpy.__version__), file=backend.module.__file__)


def _tried(function: Callable[[], Any]) -> tuple[str, Any]:
    """("", what it gives), or (what it raises, None)."""
    try:
        return "", function()
    except Exception as problem:
        return blame.cause(problem), None
