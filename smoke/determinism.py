"""Train twice from one seed, and find the operations whose bits change.

``python -m smoke.determinism FRAMEWORK THREADS FOLDER`` does so with the framework's own switch for deterministic
operations: it is the whole process's, and TensorFlow's cannot be taken back, so no other check runs in there.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy

from smoke import backends, digits
from smoke.checks.conv2d import case
from smoke.training import BATCH

if TYPE_CHECKING:
    from smoke.reference import Arrays, Attributes

STEPS = 30
ANSWER = "determinism.json"
#: PyTorch: "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you set …";
#: TensorFlow: "A deterministic GPU implementation of … is not currently available", "… when determinism is enabled".
REFUSAL = re.compile("determinis", re.I)


def losses(backend: Any, data: digits.Digits, seed: int = 5) -> list[float]:
    """The loss of every step of a short training from a seed."""
    classifier = backend.classifier(seed=seed)
    batches = list(digits.batches(data.train_x, data.train_y, BATCH, seed))
    try:
        return [classifier.step(*batches[step % len(batches)]) for step in range(STEPS)]
    finally:
        classifier.close()


def twice(backend: Any, data: digits.Digits) -> dict[str, Any]:
    """Two trainings from one seed: the last loss, and from which step on and by how much at most they differ.

    ``start`` is the relative difference of the losses before any step: of two networks that should be one.
    """
    first, second = losses(backend, data), losses(backend, data)
    found: dict[str, Any] = {"steps": len(first), "last": first[-1], "same bits": first == second}
    found["start"] = abs(first[0] - second[0]) / abs(first[0])
    if first != second:
        found["step"] = next(index for index, pair in enumerate(zip(first, second)) if pair[0] != pair[1])
        found["difference"] = float(numpy.abs(numpy.subtract(first, second)).max())
    return found


def operations() -> dict[str, tuple[Arrays, Attributes]]:
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


def unstable(backend: Any, repeats: int = 4) -> list[str]:
    """Names of the operations whose output or gradient changes its bits when it is repeated."""
    return sorted(
        name for name, call in operations().items() if len({_bits(backend, name, *call) for _ in range(repeats)}) > 1
    )


def _bits(backend: Any, name: str, arrays: Arrays, attributes: Attributes) -> bytes:
    """An operation's output and gradients, as bytes."""
    output, _ = backend.op(name, arrays, attributes, None)
    upstream = numpy.random.RandomState(1).standard_normal(output.shape)
    output, grads = backend.op(name, arrays, attributes, upstream)
    return output.tobytes() + b"".join(grads[key].tobytes() for key in sorted(grads))


def switched(backend: Any, data: digits.Digits) -> dict[str, Any]:
    """The same with the switch on: what ``twice`` finds, or ``refused``, {operation: the framework's words}.

    ``promised`` says whether the framework promises equal bits then.
    """
    switch, promised = backend.deterministic()
    found = {"switch": switch, "promised": promised}
    try:
        found.update(twice(backend, data))
    except Exception as problem:
        if not REFUSAL.search(str(problem)):
            raise
        found["refused"] = refused(backend) or {"training": _first_line(problem)}
        return found
    if not found["same bits"]:
        found["operations"] = unstable(backend)
    return found


def refused(backend: Any) -> dict[str, str]:
    """{operation: the words} of those of the CNN that the framework does not compute deterministically."""
    found = {}
    for name, call in operations().items():
        try:
            _bits(backend, name, *call)
        except Exception as problem:
            if not REFUSAL.search(str(problem)):
                raise
            found[name] = _first_line(problem)
    return found


def _first_line(problem: Exception) -> str:
    return str(problem).strip().split("\n")[0][:300]


def main(framework: str, threads: str, folder: str) -> None:
    """Turn the switch, look, and write the answer into ``folder``."""
    found = switched(backends.load(framework, int(threads)), digits.Digits())
    with open(os.path.join(folder, ANSWER), "w") as stream:
        json.dump(found, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
