"""One TensorFlow, one torch: two distributions write into the same folder, and the last one wins by halves."""

from __future__ import annotations

from smoke import distributions
from smoke.context import Context, Result, failed, passed

ID = "duplicates"
KIND = "verify"
ASSERTS = "exactly one distribution provides the framework, and it is there once"
APPLIES: dict[str, tuple[str, ...]] = {}
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


def run(context: Context) -> Result:
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
