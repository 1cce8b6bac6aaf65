"""A backend in NumPy that multiplies in narrow formats as frameworks do, rightly or with a fault planted in it."""

import numpy

from smoke import precision, reference
from smoke.context import Context


def cut(array):
    """To TF32 as hardware may do it too: the last bits are dropped."""
    return (numpy.asarray(array, "float32").view("uint32") >> 13 << 13).view("float32").astype(float)


class Backend:
    """A GPU with these formats. A fault of an operation changes results, given arrays, attributes and upstream too."""

    MODES = ("eager",)

    def __init__(self, forms, faults=None, to_tf32=None):
        self.forms, self.faults, self.allowed = forms, faults or {}, False
        self.to_tf32 = to_tf32 or (lambda array: precision.rounded(array, "tf32"))

    def gpus(self):
        return 1

    def precisions(self):
        return self.forms

    def precision(self, tf32):
        self.allowed = tf32

    def op(self, name, arrays, attributes, upstream, *, dtype="float32", mode="eager"):
        assert not self.allowed or dtype == "float32"

        def store(array):
            return precision.rounded(array, dtype)

        factor = self.to_tf32 if self.allowed else store
        arrays = {key: array if key == "labels" else factor(array) for key, array in arrays.items()}
        output, backward = reference.OPS[name](arrays, attributes)
        upstream = factor(upstream)
        if name == "softmax":
            # From the output as it is kept, not from the input.
            share = store(output)
            results = {"x": share * (upstream - (share * upstream).sum(-1, keepdims=True))}
        else:
            results = backward(upstream)
        results = dict(results, output=output)
        results.update(self.faults.get(name, lambda *_: {})(arrays, attributes, results, upstream))
        results = {key: store(result) for key, result in results.items()}
        return results.pop("output"), results


def context(backend):
    """What a check is given."""
    made = Context("torch", {}, 1, None, lambda key, value: None)
    made.once("backend", lambda: backend)
    return made
