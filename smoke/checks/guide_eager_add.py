"""The first program of TensorFlow 2's guides."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-eager-add"
KIND = "verify"
ASSERTS = "an eager addition gives 3"
APPLIES = {"frameworks": ("tf2",)}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written."""
    return guides.judge(context, "eager_add", "3")
