"""The second program of TensorFlow 1's guides."""

from smoke import guides

ID = "guide-session-add"
KIND = "verify"
ASSERTS = "two constants added in a Session give 5: as written in 1.x, with eager execution disabled since 2.0"
APPLIES = {"frameworks": ("tf1", "tf2")}
FRESH = True


def run(context):
    """Run it as written, and where that broke with 2.0 the working form."""
    return guides.judge_forms(context, "session_add", "5", "The Session graph is empty")
