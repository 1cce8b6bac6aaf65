"""Train twice from one seed, and find the operations whose bits change."""

import numpy

from smoke import digits
from smoke.checks.conv2d import case
from smoke.training import BATCH

STEPS = 30


def losses(context, seed=5):
    """The loss of every step of a short training from a seed."""
    data = context.once("digits", digits.Digits)
    classifier = context.backend.classifier(seed=seed)
    batches = list(digits.batches(data.train_x, data.train_y, BATCH, seed))
    found = [classifier.step(*batches[step % len(batches)]) for step in range(STEPS)]
    classifier.close()
    return found


def operations():
    """The CNN's operations on batches of its size."""
    generator = numpy.random.RandomState(0)
    dense = {"x": (BATCH, 1600), "kernel": (1600, 128), "bias": (128,)}
    return {
        "conv2d": case((BATCH, 13, 13, 32), (3, 3, 32, 64)),
        "max_pool": ({"x": generator.rand(BATCH, 26, 26, 32)}, {"size": 2, "stride": 2}),
        "dense": ({name: generator.rand(*shape) for name, shape in dense.items()}, {}),
        "relu": ({"x": generator.standard_normal((BATCH, 128))}, {}),
        "cross_entropy": ({"logits": generator.rand(BATCH, 10), "labels": generator.randint(0, 10, BATCH)}, {}),
    }


def unstable(context, repeats=4):
    """Names of the operations whose output or gradient changes its bits when it is repeated."""
    found = []
    for name, (arrays, attributes) in operations().items():
        output, _ = context.backend.op(name, arrays, attributes, None)
        upstream = numpy.random.RandomState(1).standard_normal(output.shape)
        seen = set()
        for _ in range(repeats):
            output, grads = context.backend.op(name, arrays, attributes, upstream)
            seen.add(output.tobytes() + b"".join(grads[key].tobytes() for key in sorted(grads)))
        if len(seen) > 1:
            found.append(name)
    return found
