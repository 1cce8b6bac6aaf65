"""The framework's loader delivers every sample once."""

from __future__ import annotations

import numpy

from smoke.context import Context, Result, failed, passed

ID = "data-loading"
KIND = "smoke"
ASSERTS = "a DataLoader with two workers, or tf.data with prefetch, delivers every sample exactly once, shuffled"
APPLIES: dict[str, tuple[str, ...]] = {}

SAMPLES, BATCH, WIDTH = 1000, 64, 784


def run(context: Context) -> Result:
    """Load numbered samples, each as wide as an image."""
    samples = numpy.repeat(numpy.arange(SAMPLES, dtype="float32")[:, None], WIDTH, axis=1)
    given = context.backend.load_all(samples, BATCH)
    sizes = [len(batch) for batch in given]
    rows = numpy.concatenate(given)
    numbers = rows[:, 0]
    found = {"samples": len(rows), "distinct": len(numpy.unique(numbers)), "batches": len(sizes)}
    if rows.shape != samples.shape or not (rows == numbers[:, None]).all():
        return failed("a sample arrives damaged or in another shape", list(samples.shape), list(rows.shape))
    if sorted(numbers) != list(range(SAMPLES)):
        return failed("samples are lost or come twice", {"samples": SAMPLES, "distinct": SAMPLES}, found)
    if list(numbers) == list(range(SAMPLES)):
        return failed("the loader does not shuffle", "another order", "the given order")
    if sizes[:-1] != [BATCH] * (len(sizes) - 1):
        return failed("batches have other sizes than asked for", BATCH, sizes)
    return passed(found)
