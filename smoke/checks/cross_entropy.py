"""The loss."""

import numpy

from smoke import compare

ID = "cross-entropy"
KIND = "smoke"
ASSERTS = "softmax cross-entropy with integer labels equals float64 NumPy, forward and gradient, for large logits too"
APPLIES = {}


def run(context):
    """Compare, large logits included."""
    generator = numpy.random.RandomState(0)
    logits, labels = generator.standard_normal((12, 10)), generator.randint(0, 10, 12)
    cases = {
        "small": ({"logits": logits, "labels": labels}, {}),
        "large": ({"logits": 100 * logits, "labels": labels}, {}),
    }
    return compare.operation(context, "cross_entropy", cases)
