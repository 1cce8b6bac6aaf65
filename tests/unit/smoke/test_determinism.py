"""Equal bits: what is asked of a CPU, what of a GPU, and what is only said."""

import json
import os

import numpy
import pytest

from smoke import backends, determinism, interpreter
from smoke.checks import determinism as check
from smoke.context import Context

REFUSAL = (
    "max_unpooling2d_forward_out does not have a deterministic implementation, but you set "
    "'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this operation\nat Context.cpp"
)


class Classifier:
    """Losses that fall; in every training after the first, ``drift`` away from the step on that is named."""

    def __init__(self, backend):
        self.backend, self.taken = backend, 0

    def step(self, x, y):
        if "training" in self.backend.refuses and self.backend.switch:
            raise RuntimeError(REFUSAL)
        self.taken += 1
        away = self.backend.drift if self.taken > self.backend.step and self.backend.trainings > 1 else 0.0
        return 2.0 / self.taken + away

    def close(self):
        self.backend.closed += 1


class Backend:
    """A framework whose additions come in another order each time, until its switch is on, or for ever."""

    count, drift, step, cured, promised, refuses = 1, 1e-7, 10, True, True, ()
    trainings = closed = calls = 0
    switch = False

    def __init__(self, **settings):
        vars(self).update(settings)

    def gpus(self):
        return self.count

    def deterministic(self):
        self.switch = True
        self.drift = 0.0 if self.cured else self.drift
        return "the switch", self.promised

    def classifier(self, seed):
        self.trainings += 1
        return Classifier(self)

    def op(self, name, arrays, attributes, upstream):
        if name in self.refuses and self.switch:
            raise RuntimeError(REFUSAL)
        self.calls += 1
        return numpy.full(3, self.calls if name == "dense" and self.drift else 1.0), {}


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """(backend here, backend in the fresh process) -> the check's result; the two are never the same."""
    data = type("Data", (), {"train_x": numpy.zeros((128, 1)), "train_y": numpy.zeros(128, int)})

    def verdict(here, fresh=None):
        def run(self, folder):
            assert self._command[2:] == ["smoke.determinism", "torch", "2"]
            determinism.main("torch", "2", folder)
            return ""

        monkeypatch.setattr(determinism.digits, "Digits", lambda: data)
        monkeypatch.setattr(backends, "load", lambda framework, threads: fresh)
        monkeypatch.setattr(interpreter.Interpreter, "run", run)
        context = Context("torch", {}, 2, str(tmp_path), None)
        context.once("backend", lambda: here)
        return check.run(context)

    return verdict


def test_a_gpu_is_not_blamed_for_bits_that_nobody_promised(judged):
    """A healthy H100 failed: its losses differed from step 10, 12 or 21 on."""
    found = judged(Backend(), Backend())
    assert found.outcome == "passed"
    default, switched = found.found["by default"], found.found["with the switch"]
    assert (default["same bits"], default["step"], default["difference"]) == (False, 10, pytest.approx(1e-7))
    assert (switched["same bits"], switched["switch"]) == (True, "the switch")


def test_with_the_switch_equal_bits_are_demanded(judged):
    found = judged(Backend(), Backend(cured=False))
    assert found.outcome == "failed"
    assert found.reason == "with the switch losses differ from step 10 on; operations whose bits change: dense"


def test_a_framework_that_promises_nothing_is_held_to_nothing(judged):
    found = judged(Backend(), Backend(cured=False, promised=False))
    assert found.outcome == "skipped"
    assert "dense; this framework promises no equal bits" in found.reason
    assert judged(Backend(), Backend(promised=False)).outcome == "passed"


@pytest.mark.parametrize(
    ("refuses", "named"),
    [(("training", "max_pool"), "max_pool"), (("training",), "training")],
    ids=["an operation", "none alone"],
)
def test_an_operation_that_refuses_is_named_in_the_frameworks_words(judged, refuses, named):
    fresh = Backend(refuses=refuses)
    found = judged(Backend(), fresh)
    assert found.outcome == "skipped"
    words = found.found["with the switch"]["refused"]
    assert words == {named: REFUSAL.split("\n", maxsplit=1)[0]}
    assert named + " (max_unpooling2d_forward_out does not have" in found.reason
    assert fresh.closed == fresh.trainings == 1


def test_the_switch_is_turned_in_another_process_only(judged):
    here, fresh = Backend(), Backend()
    judged(here, fresh)
    assert (here.switch, fresh.switch) == (False, True)


@pytest.mark.parametrize("ways", [("here",), ("fresh",)])
def test_a_seed_that_is_ignored_fails_on_a_gpu_too(judged, ways):
    other = Backend(drift=0.01, step=0, cured=False, promised=False)
    found = judged(other if ways == ("here",) else Backend(), other if ways == ("fresh",) else Backend())
    assert found.outcome == "failed"
    assert "one seed gives two networks" in found.reason


def test_on_a_cpu_equal_bits_are_demanded_without_any_switch(judged):
    failed = judged(Backend(count=0))
    assert failed.outcome == "failed"
    assert failed.reason == "losses differ from step 10 on; operations whose bits change: dense"
    found = judged(Backend(count=0, drift=0.0))
    assert (found.outcome, found.found["same bits"]) == ("passed", True)


def test_another_exception_is_not_taken_for_a_refusal():
    backend = Backend(refuses=("training",))
    backend.classifier = lambda seed: 1 / 0
    with pytest.raises(ZeroDivisionError):
        determinism.switched(backend, None)


def test_a_process_that_does_not_end_well_fails_with_its_words(tmp_path, capfd):
    """The interpreter is a real one; this framework is not."""
    context = Context("no_such_framework", {}, 2, str(tmp_path), None)
    found = check.with_the_switch(context, {"same bits": True})
    assert found.outcome == "failed"
    assert (
        "did not come to its end: exit 1, ModuleNotFoundError: No module named 'smoke.backends.no_such" in found.reason
    )
    assert "Traceback" in capfd.readouterr().out
    assert os.listdir(str(tmp_path)) == []


def test_the_answer_is_written_for_the_parent(judged, tmp_path):
    judged(Backend(), Backend())
    with open(str(tmp_path / determinism.ANSWER)) as stream:
        assert json.load(stream)["promised"] is True
