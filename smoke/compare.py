"""Compare a framework's numbers with the float64 reference."""

import numpy

from smoke import reference
from smoke.context import FailedError, passed

#: Largest difference allowed, relative to the largest absolute value of the reference.
#: Float32 carries 6e-8; a convolution's sums of thousands of products lose two digits of it.
#: A GPU's libraries may choose Winograd's or another transform, and add in any order.
TOLERANCE = {
    "cpu": {"float64": 1e-11, "float32": 2e-5},
    "gpu": {"float64": 1e-11, "float32": 1e-4, "float16": 1e-2},
}


def difference(found, expected):
    """max |found - expected| / max |expected|; infinite where the shapes differ or a value is not finite."""
    found, expected = numpy.asarray(found, float), numpy.asarray(expected, float)
    if found.shape != expected.shape or not numpy.isfinite(found).all():
        return float("inf")
    return float(numpy.abs(found - expected).max() / max(numpy.abs(expected).max(), 1e-30))


def within(found, expected, tolerance, what, **data):
    """The difference; FailedError where it is above the tolerance."""
    return judge(difference(found, expected), tolerance, what, **data)


def judge(size, tolerance, what, **data):
    """The size; FailedError where it is above the tolerance (or not a number)."""
    if not size <= tolerance:
        raise FailedError(
            "{} differs from the float64 reference: the installation computes wrong numbers; reinstall from the "
            "lock, and on another machine to tell a library from a processor".format(what),
            "relative difference <= {:g}".format(tolerance),
            size,
            **data,
        )
    return size


def operation(context, name, cases):
    """Hold one operation, forward and gradient, in every mode and precision, against the reference.

    ``cases`` is {case's name: (arrays, attributes)}.
    """
    backend, worst, limits = context.backend, {}, {}
    tolerance = TOLERANCE["gpu" if backend.gpus() else "cpu"]
    for case, (arrays, attributes) in sorted(cases.items()):
        expected, backward = reference.OPS[name](arrays, attributes)
        upstream = numpy.random.RandomState(7).standard_normal(expected.shape)
        expected_grads = backward(upstream)
        for mode in backend.MODES:
            for dtype in tolerance:
                call = (name, arrays, attributes)
                output, grads, limit = _observe(backend, call, upstream, {"dtype": dtype, "mode": mode})
                pairs = [("output", output, expected)]
                if limit:
                    limits[case] = limit
                else:
                    pairs += [("gradient of " + key, grads.get(key, ()), want) for key, want in expected_grads.items()]
                for what, found, wanted in pairs:
                    text = "{} ({}, {}, {}): {}".format(name, case, mode, dtype, what)
                    size = within(found, wanted, tolerance[dtype], text, case=case)
                    worst[dtype] = max(worst.get(dtype, 0.0), size)
    return passed(worst, tolerance, cases=sorted(cases), forward_only=limits)


def _observe(backend, call, upstream, how):
    """Output, gradients and None; or the output alone and the words in which the framework refuses the gradient."""
    try:
        return (*backend.op(*call, upstream, **how), None)
    except Exception as problem:
        known = getattr(backend, "NO_GRADIENT", {}).get(call[0])
        if known is None or known not in str(problem):
            raise
        output, _ = backend.op(*call, None, **how)
        return output, {}, known
