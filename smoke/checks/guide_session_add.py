"""The second program of TensorFlow 1's guides."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-session-add"
KIND = "verify"
ASSERTS = "two constants added in a Session give 5: as written in 1.x, with eager execution disabled since 2.0"
APPLIES = {"frameworks": ("tf1", "tf2")}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written, and where that broke with 2.0 the working form."""
    return guides.judge_forms(context, "session_add", "5", "The Session graph is empty")
