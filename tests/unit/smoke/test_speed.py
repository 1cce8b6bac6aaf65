"""What is timed, as far as no framework is needed for it."""

import contextlib

import pytest

from smoke.backends import tf_speed, torch_graph
from smoke.context import SkipError


class Stream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_stream(self, other):
        self.cuda.done.append(f"{self.name} waits for {other.name}")


class Cuda:
    """torch.cuda, as far as a capture uses it; ``done`` is what happened, in order."""

    def __init__(self):
        self.done = []
        self.current = Stream(self, "main")

    def Stream(self):  # noqa: N802 - torch's name
        return Stream(self, "aside")

    def current_stream(self):
        return self.current

    @contextlib.contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before

    def CUDAGraph(self):  # noqa: N802
        cuda = self

        class Graph:
            def replay(self):
                cuda.done.append("replay")

        return Graph()

    @contextlib.contextmanager
    def graph(self, graph):
        self.done.append("capture")
        yield
        self.done.append("captured")


def test_a_graph_is_captured_after_steps_on_another_stream_and_without_their_gradients():
    cuda = Cuda()
    replay = torch_graph.captured(
        cuda, lambda: cuda.done.append("step on " + cuda.current.name), lambda: cuda.done.append("forget")
    )
    before = ["aside waits for main", *["step on aside"] * torch_graph.WARM_UP, "main waits for aside", "forget"]
    assert cuda.done == [*before, "capture", "step on main", "captured"]
    replay()
    assert cuda.done[-1] == "replay"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (("lr", "capturable", "fused"), {"capturable": True, "fused": True}),
        (("lr", "capturable"), {"capturable": True}),
        (("lr", "momentum"), {}),
    ],
)
def test_a_captured_optimiser_is_given_what_it_knows(known, expected):
    assert torch_graph.settings(known) == expected


class Said:
    """A message with these fields."""

    def __init__(self, **fields):
        vars(self).update(fields)


def kernel(device, **types):
    """A KernelDef."""
    constraints = [
        Said(name=name, allowed_values=Said(list=Said(type=list(numbers)))) for name, numbers in types.items()
    ]
    return Said(device_type=device, constraint=constraints)


FLOAT, HALF, BFLOAT16 = 1, 19, 14


def test_an_operation_that_would_go_to_the_cpu_unsaid_is_a_skip():
    found = {
        "Conv2D": [kernel("GPU", T=[FLOAT]), kernel("GPU", T=[HALF]), kernel("CPU", T=[BFLOAT16])],
        "MatMul": [kernel("GPU", T=[FLOAT, BFLOAT16])],
        "FusedBatchNormV3": [kernel("GPU", T=[BFLOAT16], U=[FLOAT])],
        "Cast": [kernel("GPU")],
    }
    tf_speed.require_kernels(found.get, BFLOAT16, ("MatMul", "FusedBatchNormV3", "Cast"))
    with pytest.raises(SkipError, match="no kernel of Conv2D in bfloat16 for a GPU"):
        tf_speed.require_kernels(found.get, BFLOAT16, ("MatMul", "Conv2D"))


def test_the_compute_capability_is_read_from_tensorflows_description():
    words = "device: 0, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:01:00.0, compute capability: 9.0"
    assert tf_speed.capability(words) == (9, 0)
    assert tf_speed.capability("device: XLA_GPU device") is None
