"""Compare a framework's numbers with the float64 reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from smoke import conditions, precision, reference
from smoke.context import Context, FailedError, Result, passed

if TYPE_CHECKING:
    from smoke.reference import Arrays, Attributes

#: Largest difference allowed, relative to the largest absolute value of the reference.
#: Float32 carries 6e-8; a convolution's sums of thousands of products lose two digits of it.
#: A GPU's libraries may choose Winograd's or another transform, and add in any order.
TOLERANCE = {
    "cpu": {"float64": 1e-11, "float32": 2e-5},
    "gpu": {"float64": 1e-11, "float32": 1e-4},
}
#: Steps of a narrower format that roundings on the way may add up to, where the operation's condition is one: two of
#: the result and a bias, two where a transform's factors are cut off to TF32, and partial sums in the format. The most
#: of those is in TensorFlow's bias gradient, where each block of the GPU adds its own to the whole: 264 in turn, in 15
#: simulated orders each 2 to 6 steps off, in float16 and in bfloat16.
STEPS = 8
#: What TF32 changes: nothing else multiplies matrices.
MULTIPLIES = ("conv2d", "dense")


def difference(found: Any, expected: Any) -> float:
    """max |found - expected| / max |expected|; infinite where the shapes differ or a value is not finite."""
    found, expected = numpy.asarray(found, float), numpy.asarray(expected, float)
    if found.shape != expected.shape or not numpy.isfinite(found).all():
        return float("inf")
    return float(numpy.abs(found - expected).max() / max(numpy.abs(expected).max(), 1e-30))


def within(found: Any, expected: Any, tolerance: float, what: str, **data: Any) -> float:
    """The difference; FailedError where it is above the tolerance."""
    return judge(difference(found, expected), tolerance, what, **data)


def judge(size: float, tolerance: float, what: str, **data: Any) -> float:
    """The size; FailedError where it is above the tolerance (or not a number)."""
    if not size <= tolerance:
        raise FailedError(
            f"{what} differs from the float64 reference: the installation computes wrong numbers; reinstall from the "
            "lock, and on another machine to tell a library from a processor",
            f"relative difference <= {tolerance:g}",
            size,
            **data,
        )
    return size


class Problem:
    """One operation on numbers of one format: what a framework is given, what it has to find, and how exactly.

    The reference starts from the rounded numbers, as the framework does: what rounding them costs is no fault of it.
    """

    def __init__(self, name: str, arrays: Arrays, attributes: Attributes, form: str, base: dict[str, float]) -> None:
        self.name, self.attributes, self.form = name, attributes, form
        self.arrays = {key: precision.rounded(array, form) for key, array in arrays.items()}
        output, backward = reference.OPS[name](self.arrays, attributes)
        self.upstream = precision.rounded(numpy.random.RandomState(7).standard_normal(output.shape), form)
        self.expected = dict(backward(self.upstream), output=output)
        self.tolerance: dict[str, Any] = dict.fromkeys(self.expected, base.get(form))
        if form not in base:
            condition = conditions.of(name, self.arrays, self.expected, self.upstream, backward)
            for key, size in condition.items():
                # Sums in float32, then the roundings to the format.
                self.tolerance[key] = base["float32"] + STEPS * precision.step(form) * size


def operation(context: Context, name: str, cases: dict[str, tuple[Arrays, Attributes]]) -> Result:
    """Hold one operation, forward and gradient, in every mode and precision, against the reference.

    ``cases`` is {case's name: (arrays, attributes)}.
    """
    backend = context.backend
    worst: dict[str, float] = {}
    allowed: dict[str, float] = {}
    limits: dict[str, str] = {}
    base = TOLERANCE["gpu" if backend.gpus() else "cpu"]
    forms = [form for form in backend.precisions() if form != "tf32" or name in MULTIPLIES]
    for case, (arrays, attributes) in sorted(cases.items()):
        for form in forms:
            problem = Problem(name, arrays, attributes, form, base)
            for mode in backend.MODES:
                found, limit = _observe(backend, problem, mode)
                if limit:
                    limits[case] = limit
                for key in sorted(problem.expected if limit is None else ("output",)):
                    what = key if key == "output" else "gradient of " + key
                    text = f"{name} ({case}, {mode}, {form}): {what}"
                    tolerance = problem.tolerance[key]
                    size = within(found.get(key, ()), problem.expected[key], tolerance, text, case=case)
                    worst[form] = max(worst.get(form, 0.0), size)
                    allowed[form] = max(allowed.get(form, 0.0), tolerance)
    return passed(worst, allowed, cases=sorted(cases), forward_only=limits)


def _observe(backend: Any, problem: Problem, mode: str) -> tuple[Arrays, str | None]:
    """{"output" or array's name: what the framework found}, and the words in which it refuses gradients, or None."""
    tf32 = problem.form == "tf32"
    call = (problem.name, problem.arrays, problem.attributes)
    how = {"dtype": "float32" if tf32 else problem.form, "mode": mode}
    backend.precision(tf32)
    try:
        output, grads = backend.op(*call, problem.upstream, **how)
        return dict(grads, output=output), None
    except Exception as refusal:
        known = getattr(backend, "NO_GRADIENT", {}).get(problem.name)
        if known is None or known not in str(refusal):
            raise
        output, _ = backend.op(*call, None, **how)
        return {"output": output}, known
    finally:
        backend.precision(False)
