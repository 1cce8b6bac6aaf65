"""The first program of TensorFlow 1's guides."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-session-hello"
KIND = "verify"
ASSERTS = "a constant string run in a Session is printed: as written in 1.x, inside a Graph since 2.0"
APPLIES = {"frameworks": ("tf1", "tf2")}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written, and where that broke with 2.0 the working form."""
    return guides.judge_forms(context, "session_hello", "Hello, TensorFlow!", "The Session graph is empty")
