"""The verdict on a network that was restored in a fresh process."""

import numpy
import pytest

from smoke.checks import training_reload

WEIGHTS = {"conv1/kernel": numpy.arange(9.0).reshape(3, 3), "conv1/bias": numpy.ones(3)}
LOGITS = numpy.linspace(-8.0, 8.0, 40).reshape(4, 10)


def judged(tolerance, shift=0.0, **changes):
    restored = {name.replace("/", "."): array for name, array in WEIGHTS.items()}
    restored.update(logits=LOGITS + shift, **changes)
    return training_reload.judge(WEIGHTS, LOGITS, restored, tolerance)


def test_the_same_bits_pass():
    assert judged(training_reload.TOLERANCE["cpu"]).found == {"difference": 0.0, "same bits": True}


def test_another_algorithm_of_the_gpu_is_no_lost_weight():
    # 4e-6 of the largest: what Winograd's transform and a plain sum differ by in float32.
    assert judged(training_reload.TOLERANCE["gpu"], shift=3.2e-5).outcome == "passed"
    assert judged(training_reload.TOLERANCE["cpu"], shift=3.2e-5).outcome == "failed"


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_what_is_lost_is_named_on_a_gpu_too(kind):
    limit = training_reload.TOLERANCE[kind]
    # A weight that changes the outputs by less than any tolerance.
    found = judged(limit, **{"conv1.bias": numpy.array([1.0, 1.0, 1.0 + 1e-9])})
    assert (found.outcome, found.found) == ("failed", ["conv1/bias"])
    assert "in a fresh process" in judged(limit, shift=1e-3).reason
