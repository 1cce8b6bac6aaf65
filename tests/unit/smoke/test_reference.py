"""The float64 reference against finite differences and against loops that cannot be wrong in the same way."""

import numpy
import pytest

from smoke import digits, model, parity, reference
from smoke.checks.conv2d import case
from smoke.data import make_parity


def numeric(function, array, upstream, count=12):
    """Central differences of sum(upstream * function()) at some of the array's elements."""
    generator = numpy.random.RandomState(3)
    found = {}
    for flat in generator.choice(array.size, min(count, array.size), replace=False):
        index = numpy.unravel_index(flat, array.shape)
        kept, step = array[index], 1e-6
        array[index] = kept + step
        high = (function() * upstream).sum()
        array[index] = kept - step
        low = (function() * upstream).sum()
        array[index] = kept
        found[index] = (high - low) / (2 * step)
    return found


def images(*shape):
    return numpy.random.RandomState(1).standard_normal(shape)


CASES = {
    "conv2d plain": ("conv2d", *case((2, 6, 7, 3), (3, 3, 3, 4))),
    "conv2d odd": ("conv2d", *case((2, 9, 8, 2), (3, 5, 2, 3), stride=(2, 1), pad=(4, 2), dilation=(3, 1))),
    "max_pool": ("max_pool", {"x": images(2, 7, 6, 3)}, {"size": 3, "stride": 2}),
    "avg_pool": ("avg_pool", {"x": images(2, 7, 6, 3)}, {"size": 3, "stride": 2}),
    "global_avg_pool": ("global_avg_pool", {"x": images(2, 4, 5, 3)}, {}),
    "dense": ("dense", {"x": images(4, 5), "kernel": images(5, 3), "bias": images(3)}, {}),
    "relu": ("relu", {"x": images(4, 5)}, {}),
    "softmax": ("softmax", {"x": images(4, 5)}, {}),
    "cross_entropy": ("cross_entropy", {"logits": images(4, 5), "labels": numpy.array([0, 4, 2, 2])}, {}),
}


def test_every_operation_is_tested():
    assert {values[0] for values in CASES.values()} == set(reference.OPS)


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradients_are_the_finite_differences(name):
    operation, arrays, attributes = CASES[name]
    output, backward = reference.OPS[operation](arrays, attributes)
    upstream = numpy.random.RandomState(2).standard_normal(output.shape)
    found = backward(upstream)
    assert set(found) == {key for key, array in arrays.items() if array.dtype.kind == "f"}
    for key, gradient in found.items():
        assert gradient.shape == arrays[key].shape
        for index, expected in numeric(
            lambda: reference.OPS[operation](arrays, attributes)[0], arrays[key], upstream
        ).items():
            assert gradient[index] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_convolution_is_its_definition():
    arrays, attributes = case((1, 6, 7, 2), (3, 2, 2, 3), stride=(2, 1), pad=(1, 2), dilation=(2, 3))
    output, _ = reference.conv2d(arrays, attributes)
    padded = numpy.pad(arrays["x"], ((0, 0), (1, 1), (2, 2), (0, 0)), "constant")
    for row in range(output.shape[1]):
        for column in range(output.shape[2]):
            for filters in range(3):
                total = arrays["bias"][filters]
                for i in range(3):
                    for j in range(2):
                        pixel = padded[0, row * 2 + i * 2, column + j * 3]
                        total += (pixel * arrays["kernel"][i, j, :, filters]).sum()
                assert output[0, row, column, filters] == pytest.approx(total)
    assert output.shape == (1, 2, 8, 3)


@pytest.mark.once
def test_the_networks_gradient_is_the_finite_difference():
    generator = numpy.random.RandomState(0)
    weights = {name: weight.astype(float) for name, weight in parity.initial().items()}
    x, y = generator.rand(2, *model.INPUT), numpy.array([3, 7])
    _, gradients = reference.loss_and_gradients(weights, x, y)
    assert {name: gradient.shape for name, gradient in gradients.items()} == model.shapes()
    for name, weight in weights.items():
        found = numeric(lambda: reference.loss_and_gradients(weights, x, y)[0], weight, 1.0, count=3)
        for index, expected in found.items():
            assert gradients[name][index] == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.once
def test_the_shipped_answers_are_the_references():
    """The whole of parity.npz again: weights, logits and the losses of 50 steps."""
    data = digits.Digits()
    problem = parity.Problem(data)
    for name, weight in parity.initial().items():
        assert (problem.weights[name] == weight).all()
    logits, losses = make_parity.answers(problem.weights, data)
    numpy.testing.assert_allclose(problem.logits, logits, rtol=1e-10)
    numpy.testing.assert_allclose(problem.losses, losses, rtol=1e-9)
    assert len(losses) == parity.STEPS
    assert losses[-1] < 0.5 * losses[0]
    assert len(problem.batches) == parity.STEPS


def test_what_the_document_carries_gives_back_every_float32():
    values = numpy.random.RandomState(0).standard_normal(100).astype("float32")
    found = {"logits": values.reshape(10, 10), "gradients": {"a": values}, "losses": list(values)}
    short = parity.short(found)
    assert (numpy.array(short["logits"], "float32") == found["logits"]).all()
    assert short["gradients"]["a"]["scale"] == pytest.approx(float(numpy.abs(values).max()), rel=1e-8)
    assert len(short["gradients"]["a"]["samples"]) == parity.SAMPLES
