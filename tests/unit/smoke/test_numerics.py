"""The checks of numbers in every format: what a healthy GPU computes passes, and a planted fault does not."""

from unittest import mock

import numpy
import pytest

from smoke import compare, conditions, digits, parity, precision, reference
from smoke.checks import activations, conv2d, cross_entropy, dense, pooling
from smoke.checks import parity as parity_check
from smoke.context import FailedError
from tests.unit.smoke import emulated

FORMS = ("float64", "float32", "tf32", "float16", "bfloat16")
CHECKS = (activations, conv2d, cross_entropy, dense, pooling)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The largest convolution takes seconds in NumPy, and shows nothing more."""
    monkeypatch.setattr(conv2d, "CASES", {name: make for name, make in conv2d.CASES.items() if name != "odd"})


@pytest.mark.parametrize(
    ("number", "form", "nearest"),
    [
        (1 + 2.0**-8, "bfloat16", 1.0),  # ties to even
        (1 + 3 * 2.0**-8, "bfloat16", 1 + 2.0**-6),
        (-(1 + 2.0**-8 + 2.0**-20), "bfloat16", -(1 + 2.0**-7)),
        (3.14159265, "bfloat16", 3.140625),
        (1e38, "bfloat16", float.fromhex("0x1.2cp+126")),
        (0.0, "bfloat16", 0.0),
        (1 + 2.0**-11, "tf32", 1.0),
        (1 + 3 * 2.0**-11, "tf32", 1 + 2.0**-9),
        (3.14159265, "tf32", 3.140625),
        (-1e-30, "tf32", float.fromhex("-0x1.448p-100")),
        (3.14159265, "float16", 3.140625),
        (0.1, "float32", float(numpy.float32(0.1))),
        (0.1, "float64", 0.1),
    ],
)
def test_rounding_is_to_the_nearest_number_of_the_format(number, form, nearest):
    found = precision.rounded([number], form)
    assert found.dtype == numpy.float64
    assert found[0] == nearest
    assert precision.rounded(found, form)[0] == nearest


def test_neighbours_are_a_step_apart_and_labels_stay():
    for form in FORMS:
        step = precision.step(form)
        assert precision.rounded([1 + step, 1 + 0.4 * step], form).tolist() == [1 + step, 1.0]
    labels = numpy.array([3, 7])
    assert precision.rounded(labels, "bfloat16") is labels


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.ID)
def test_a_healthy_device_passes(check, form):
    """Softmax of large logits in float16 was 0.036 off: x has steps of 0.06 there, and the reference had not."""
    assert check.run(emulated.context(emulated.Backend((form,)))).outcome == "passed"


@pytest.mark.parametrize("check", [conv2d, dense], ids=lambda check: check.ID)
def test_a_device_that_cuts_off_to_tf32_passes_and_is_given_numbers_with_nothing_to_cut(check):
    found = check.run(emulated.context(emulated.Backend(("float32", "tf32"), to_tf32=emulated.cut))).found
    assert found["tf32"] <= 2 * precision.step("float32")


def exchanged(arrays, attributes, results, upstream):
    """What a convolution finds that takes the first two taps for each other."""
    kernel = arrays["kernel"].copy()
    kernel[0, [0, 1]] = kernel[0, [1, 0]]
    return {"output": reference.conv2d(dict(arrays, kernel=kernel), attributes)[0]}


#: {what is wrong: (check, operation, what it changes of arrays, attributes, results and upstream)}
FAULTS = {
    "softmax gradient without the mean": (activations, "softmax", lambda a, _, r, u: {"x": r["output"] * u}),
    "softmax gradient of the wrong sign": (activations, "softmax", lambda a, _, r, u: {"x": -r["x"]}),
    "relu lets every gradient through": (activations, "relu", lambda a, _, r, u: {"x": u}),
    "convolution with two taps exchanged": (conv2d, "conv2d", exchanged),
    "kernel gradient upside down": (conv2d, "conv2d", lambda a, _, r, u: {"kernel": r["kernel"][::-1]}),
    "convolution without a bias": (conv2d, "conv2d", lambda a, _, r, u: {"output": r["output"] - a["bias"]}),
    "loss gradient without the label": (
        cross_entropy,
        "cross_entropy",
        lambda a, _, r, u: {"logits": r["logits"] + u[:, None] * numpy.eye(10)[a["labels"]]},
    ),
    "dense without its first input": (
        dense,
        "dense",
        lambda a, _, r, u: {"output": r["output"] - numpy.outer(a["x"][:, 0], a["kernel"][0])},
    ),
    "mean of one pixel less": (pooling, "avg_pool", lambda a, _, r, u: {"output": r["output"] * 4 / 3}),
    "largest of the next window": (pooling, "max_pool", lambda a, _, r, u: {"output": numpy.roll(r["output"], 1, 1)}),
    "not a number": (dense, "dense", lambda a, _, r, u: {"bias": r["bias"] * numpy.nan}),
}


@pytest.mark.parametrize(
    ("fault", "form"),
    [
        (fault, form)
        for fault, (_, name, _) in sorted(FAULTS.items())
        for form in FORMS
        if form != "tf32" or name in compare.MULTIPLIES
    ],
)
def test_a_planted_fault_fails_in_every_format(fault, form):
    check, name, change = FAULTS[fault]
    with pytest.raises(FailedError) as failure:
        check.run(emulated.context(emulated.Backend((form,), {name: change})))
    assert name in str(failure.value)
    assert form in str(failure.value)


def test_the_condition_grows_where_digits_cancel():
    def condition(scale):
        x = scale * numpy.random.RandomState(0).standard_normal((6, 10))
        output, backward = reference.softmax({"x": x}, {})
        upstream = numpy.random.RandomState(7).standard_normal(output.shape)
        return conditions.of("softmax", {"x": x}, dict(backward(upstream), output=output), upstream, backward)

    assert 1 <= condition(1)["x"] < 5 < condition(100)["x"] < condition(1000)["x"]


@pytest.fixture(scope="module")
def problem():
    """The weights and batches of parity, with the reference's gradients."""
    made = parity.Problem(digits.Digits())
    made.start = {name: weight.astype(float) for name, weight in made.weights.items()}
    made.gradients = reference.loss_and_gradients(made.start, *made.batches[0])[1]
    return made


def test_parity_starts_from_numbers_that_every_format_of_ten_bits_has(problem):
    """So TF32 rounds nothing of what is given, only what the layers hand to each other."""
    given = [problem.images, problem.batches[0][0], *problem.weights.values()]
    for array in given:
        for form in ("tf32", "float16"):
            assert (precision.rounded(array.astype(float), form) == array).all()


def narrow(operation, to_factor):
    """A layer whose factors are narrowed as they enter the multiplier; the bias is only added."""

    def layer(arrays, attributes):
        narrowed = {"x": to_factor(arrays["x"]), "kernel": to_factor(arrays["kernel"])}
        output, backward = operation(dict(arrays, **narrowed), attributes)
        return output, lambda upstream: dict(backward(to_factor(upstream)), bias=backward(upstream)["bias"])

    return layer


def sizes(problem, monkeypatch, to_factor):
    """The differences of a network in that arithmetic: logits, gradients, losses of two steps."""
    for name in ("conv2d", "dense"):
        monkeypatch.setattr(reference, name, narrow(getattr(reference, name), to_factor))
    _, gradients = reference.loss_and_gradients(problem.start, *problem.batches[0])
    losses, _ = reference.train(problem.start, problem.batches[:2], parity.RATE)
    observed = {"logits": reference.logits(problem.start, problem.images), "gradients": gradients, "losses": losses}
    expected = {"logits": problem.logits, "gradients": problem.gradients, "losses": problem.losses[:2]}
    return parity_check.sizes(observed, expected)


def noisy():
    """Any rounding that is at most a whole step off; one of 48 draws, and the one that turns most maxima over."""
    generator = numpy.random.RandomState(17)
    step = precision.step("tf32")
    return lambda array: numpy.asarray(array) * (1 + generator.uniform(-1, 1, numpy.shape(array)) * step)


@pytest.mark.parametrize(
    "make",
    [lambda: lambda array: precision.rounded(array, "tf32"), lambda: emulated.cut, noisy],
    ids=["to nearest", "cut off", "a step anywhere"],
)
def test_parity_passes_whichever_way_tf32_is_rounded(problem, monkeypatch, make):
    found = sizes(problem, monkeypatch, make())
    assert {name for name, size in found.items() if size > parity_check.TOLERANCE[True][name]} == set()


def test_parity_does_not_take_bfloat16_for_tf32(problem, monkeypatch):
    found = sizes(problem, monkeypatch, lambda array: precision.rounded(array, "bfloat16"))
    assert found["logits"] > parity_check.TOLERANCE[True]["logits"]


@pytest.mark.parametrize(
    ("gpus", "capability", "formats"),
    [
        (0, None, {"float64", "float32"}),
        (1, (7, 5), {"float64", "float32", "float16"}),
        (1, (8, 6), {"float64", "float32", "float16", "tf32"}),
    ],
)
def test_tensorflow_multiplies_in_tf32_from_ampere_on(gpus, capability, formats):
    from smoke.backends import tf_ops

    fake = mock.MagicMock()
    fake.config.experimental.get_device_details.return_value = {"compute_capability": capability}
    assert set(tf_ops.precisions(fake, gpus)) == formats
    fake.config.experimental = mock.MagicMock(spec=[])
    assert set(tf_ops.precisions(fake, gpus)) == formats - {"tf32"}
