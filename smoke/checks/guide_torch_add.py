"""A graph that is built while it runs."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-torch-add"
KIND = "verify"
ASSERTS = "x + y is 3, and its gradient with respect to x is 1"
APPLIES = {"frameworks": ("torch",)}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written."""
    return guides.judge(context, "torch_add", "3.0 1.0")
