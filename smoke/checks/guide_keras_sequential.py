"""The network of TensorFlow 2's guides."""

from smoke import guides

ID = "guide-keras-sequential"
KIND = "verify"
ASSERTS = "tf.keras Sequential with adam and sparse categorical cross-entropy: 225,034 parameters, and it fits"
APPLIES = {"frameworks": ("tf2",)}
FRESH = True


def run(context):
    """Run it as written."""
    return guides.judge(context, "keras_sequential", "225034")
