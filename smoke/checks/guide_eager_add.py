"""The first program of TensorFlow 2's guides."""

from smoke import guides

ID = "guide-eager-add"
KIND = "verify"
ASSERTS = "an eager addition gives 3"
APPLIES = {"frameworks": ("tf2",)}
FRESH = True


def run(context):
    """Run it as written."""
    return guides.judge(context, "eager_add", "3")
