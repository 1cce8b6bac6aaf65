"""The framework and NumPy import, and the framework's own test of itself does not refuse."""

from __future__ import annotations

import numpy

from smoke.context import Context, Result, failed, passed

ID = "imports"
KIND = "verify"
ASSERTS = "the framework and NumPy can be imported in one process"
APPLIES: dict[str, tuple[str, ...]] = {}
FRESH = True


def run(context: Context) -> Result:
    """Import; the exception is the finding."""
    try:
        backend = context.load()
    except Exception as problem:
        text = f"{type(problem).__name__}: {problem}"
        return failed(f"the import raises {text}; reinstall from the lock", "no exception", text)
    found = dict(backend.versions(), numpy=numpy.__version__)
    return passed(found, data={"file": backend.module.__file__})
