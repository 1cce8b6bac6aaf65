"""One TensorFlow, one torch: two distributions write into the same folder, and the last one wins by halves."""

from smoke import distributions
from smoke.context import failed, passed

ID = "duplicates"
KIND = "verify"
ASSERTS = "exactly one distribution provides the framework, and it is there once"
APPLIES = {}
FRESH = True

PROVIDERS = {
    "torch": ("torch",),
    "tensorflow": (
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-gpu",
        "tensorflow-intel",
        "tensorflow-rocm",
        "intel-tensorflow",
        "nvidia-tensorflow",
        "tf-nightly",
    ),
}


def run(context):
    """Look for every name that puts a framework's package on the path."""
    names = PROVIDERS["torch" if context.framework == "torch" else "tensorflow"]
    found = [f"{name} {version}" for name, version, _ in distributions.folders() if name in names]
    if len(found) != 1:
        return failed(
            f"{len(found)} distributions provide the framework; uninstall all of them, then install one",
            "one of " + ", ".join(names),
            found,
        )
    return passed(found)
