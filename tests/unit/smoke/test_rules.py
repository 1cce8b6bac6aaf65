"""Optimisers, batch normalisation and decay: the formulas against values worked out by hand and finite differences."""

import numpy
import pytest

from smoke import compare, rules
from smoke.context import FailedError

ONE = numpy.array([1.0])


def steps(rule, settings, definition=None):
    return [float(w[0]) for w in rules.optimise(rule, settings, ONE, [ONE * 2, ONE * 2], definition)]


def test_sgd_and_momentum():
    assert steps("sgd", {"rate": 0.1}) == pytest.approx([0.8, 0.6])
    assert steps("momentum", {"rate": 0.1, "momentum": 0.5}) == pytest.approx([0.8, 0.5])


def test_adams_first_step_is_the_rate_where_epsilon_is_nothing():
    settings = {"rate": 0.1, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-12}
    for definition in ("epsilon after", "epsilon before"):
        assert steps("adam", settings, definition) == pytest.approx([0.9, 0.8])


def test_adams_definitions_differ_where_epsilon_is_large():
    settings = {"rate": 0.1, "beta1": 0.9, "beta2": 0.99, "epsilon": 1.0}
    assert steps("adam", settings, "epsilon after")[0] == pytest.approx(1 - 0.1 * 2 / 3)
    assert steps("adam", settings, "epsilon before")[0] == pytest.approx(1 - 0.1 * 0.1 / 0.1 * 0.2 / (0.2 + 1))


def test_rmsprops_definitions():
    settings = {"rate": 0.1, "rho": 0.5, "epsilon": 1.0}
    assert steps("rmsprop", settings, ("epsilon outside", 0))[0] == pytest.approx(1 - 0.2 / (2**0.5 + 1))
    assert steps("rmsprop", settings, ("epsilon inside", 0))[0] == pytest.approx(1 - 0.2 / 3**0.5)
    assert steps("rmsprop", settings, ("epsilon inside", 1))[0] == pytest.approx(1 - 0.2 / 3.5**0.5)


def test_decay():
    settings = {"rate": 1.0, "every": 2, "factor": 0.25}
    assert rules.decay("step", settings, 5) == pytest.approx([1, 1, 0.25, 0.25, 0.0625])
    assert rules.decay("exponential", settings, 3) == pytest.approx([1, 0.5, 0.25])


def test_batch_norm_against_finite_differences_and_a_loop():
    generator = numpy.random.RandomState(0)
    x = generator.standard_normal((3, 2, 2, 2))
    settings = {
        "keep": 0.9,
        "epsilon": 1e-3,
        "gamma": numpy.array([1.5, 0.5]),
        "beta": numpy.array([0.1, -0.2]),
        "upstream": generator.standard_normal(x.shape),
    }
    found = rules.batch_norm(x, settings, 2, unbiased=True)
    for key, target in (("dx", x), ("dgamma", settings["gamma"]), ("dbeta", settings["beta"])):
        for index in list(numpy.ndindex(*target.shape))[:6]:
            kept, sides = target[index], []
            for step in (1e-6, -1e-6):
                target[index] = kept + step
                sides.append((rules.batch_norm(x, settings, 2, True)["train"] * settings["upstream"]).sum())
            target[index] = kept
            assert found[key][index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-7)
    mean, variance = 0.0, 1.0
    for _ in range(2):
        mean = 0.9 * mean + 0.1 * x[..., 0].mean()
        variance = 0.9 * variance + 0.1 * x[..., 0].var(ddof=1)
    assert found["mean"][0] == pytest.approx(mean)
    assert found["variance"][0] == pytest.approx(variance)


@pytest.mark.parametrize(
    ("found", "expected", "size"),
    [([1.0, 2.0], [1.0, 2.0], 0.0), ([1.0, 2.2], [1.0, 2.0], 0.1), ([1.0], [1.0, 2.0], numpy.inf)],
)
def test_difference(found, expected, size):
    assert compare.difference(found, expected) == pytest.approx(size)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_never_within(value):
    with pytest.raises(FailedError, match="sum differs"):
        compare.within([value], [1.0], 1e9, "sum")
    with pytest.raises(FailedError):
        compare.judge(float("nan"), 1e9, "sum")
