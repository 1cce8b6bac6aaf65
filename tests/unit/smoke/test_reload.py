"""The verdict on a network that was restored in a fresh process."""

import numpy
import pytest

from smoke import interpreter, reload
from smoke.checks import training_reload
from smoke.context import Context

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


def test_a_cpu_env_s_network_is_restored_in_a_fork_made_before_anything_was_computed(tmp_path, monkeypatch):
    seen = str(tmp_path / "seen")
    computed = []

    def restore(backend, folder):
        with open(seen, "w") as stream:
            stream.write(f"{backend} {computed} {folder}")

    monkeypatch.setattr(reload, "restore", restore)
    context = Context("torch", {"variant": "cpu"}, 1, str(tmp_path), None)
    context.once("backend", lambda: "backend")
    training_reload.prepare(context)
    computed.append("a step")
    assert context.once(training_reload.ID, None).run("folder") == ""
    with open(seen) as stream:
        assert stream.read() == "backend [] folder"


def test_a_gpu_env_s_network_is_restored_by_an_interpreter_of_its_own(tmp_path):
    context = Context("no-such-framework", {"variant": "gpu"}, 1, str(tmp_path), None)
    training_reload.prepare(context)
    assert "No module named" in interpreter.Interpreter(context, "smoke.reload").run(str(tmp_path))
