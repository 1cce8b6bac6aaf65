"""The network of TensorFlow 2's guides."""

from __future__ import annotations

from smoke import guides
from smoke.context import Context, Result

ID = "guide-keras-sequential"
KIND = "verify"
ASSERTS = "tf.keras Sequential with adam and sparse categorical cross-entropy: 225,034 parameters, and it fits"
APPLIES = {"frameworks": ("tf2",)}
FRESH = True


def run(context: Context) -> Result:
    """Run it as written."""
    return guides.judge(context, "keras_sequential", "225034")
