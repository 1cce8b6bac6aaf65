"""A graph that is built while it runs."""

from smoke import guides

ID = "guide-torch-add"
KIND = "verify"
ASSERTS = "x + y is 3, and its gradient with respect to x is 1"
APPLIES = {"frameworks": ("torch",)}
FRESH = True


def run(context):
    """Run it as written."""
    return guides.judge(context, "torch_add", "3.0 1.0")
