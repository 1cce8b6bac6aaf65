"""The two networks as lists of layers, written once: every framework builds from here, and FLOPs are counted here.

A layer is a tuple:
  ("conv", name, kernel, stride, pad, filters, bias)   pad: rows and columns of zeros on each side
  ("norm", name)                                       batch normalisation
  ("relu",)  ("max_pool", size, stride, pad)  ("global_avg_pool",)  ("flatten",)  ("dense", name, units)
  ("residual", layers, shortcut)                       sum of both; an empty shortcut is the identity
"""

from __future__ import annotations

from typing import Any

from smoke import model


class Network:
    """A network, its input and what training it takes."""

    def __init__(
        self,
        *,
        name: str,
        layers: list[tuple[Any, ...]],
        size: tuple[int, int, int],
        classes: int,
        optimiser: tuple[str, dict[str, float]],
        padding: str,
    ) -> None:
        self.name = name
        self.layers = layers
        self.input = size
        self.classes = classes
        #: (rule, settings) of the backends' optimisers
        self.optimiser = optimiser
        self.padding = padding


def _cnn() -> list[tuple[Any, ...]]:
    layers: list[tuple[Any, ...]] = []
    for name, filters in model.CONVOLUTIONS:
        layers += [("conv", name, model.KERNEL, 1, 0, filters, True), ("relu",)]
        layers += [("max_pool", model.POOL, model.POOL, 0)]
    layers.append(("flatten",))
    for name, units in model.DENSE:
        layers += [("dense", name, units), ("relu",)]
    return layers[:-1]


def _resnet18() -> list[tuple[Any, ...]]:
    """He et al. 2015 as in torchvision: v1 blocks, strides in the first convolution of a block."""
    layers: list[tuple[Any, ...]] = [
        ("conv", "stem", 7, 2, 3, 64, False),
        ("norm", "stem_norm"),
        ("relu",),
        ("max_pool", 3, 2, 1),
    ]
    channels = 64
    for stage, filters in enumerate((64, 128, 256, 512), 1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_{block}"
            inner: list[tuple[Any, ...]] = [
                ("conv", name + "a", 3, stride, 1, filters, False),
                ("norm", name + "a_norm"),
                ("relu",),
            ]
            inner += [("conv", name + "b", 3, 1, 1, filters, False), ("norm", name + "b_norm")]
            shortcut: list[tuple[Any, ...]] = []
            if stride != 1 or channels != filters:
                shortcut = [("conv", name + "s", 1, stride, 0, filters, False), ("norm", name + "s_norm")]
            layers += [("residual", inner, shortcut), ("relu",)]
            channels = filters
    return [*layers, ("global_avg_pool",), ("dense", "classes", 1000)]


NETWORKS = {
    "cnn": Network(
        name="cnn",
        layers=_cnn(),
        size=model.INPUT,
        classes=model.CLASSES,
        optimiser=("adam", {"rate": 1e-3}),
        padding="valid",
    ),
    "resnet18": Network(
        name="resnet18",
        layers=_resnet18(),
        size=(224, 224, 3),
        classes=1000,
        optimiser=("momentum", {"rate": 0.01, "momentum": 0.9}),
        padding="3, 1 or 0 on each side",
    ),
}
PARAMETERS = {"cnn": model.PARAMETERS, "resnet18": 11689512}


class Counted:
    """What walking through a network finds: FLOPs of a forward pass, of its first layer, weights, activations."""

    def __init__(self) -> None:
        self.flops = 0
        self.first = 0
        #: {name: shape} of what is trained; kernels are HWIO or (in, out)
        self.shapes: dict[str, tuple[int, ...]] = {}
        #: numbers that the layers put out, for one image
        self.activations = 0


def count(network: Network) -> Counted:
    """The Counted of a network, from its layers' shapes."""
    found = Counted()
    _walk(network.layers, network.input, found)
    return found


def flops_per_image(network: Network, kind: str) -> int:
    """Multiplications and additions of convolutions and dense layers, as is usual; the rest is a few per cent.

    Training does each layer thrice: its output, its kernel's gradient and its input's, which the first has no use for.
    """
    found = count(network)
    return found.flops if kind == "infer" else 3 * found.flops - found.first


def parameters(shapes: dict[str, tuple[int, ...]]) -> int:
    """How many numbers {name: shape} holds."""
    total = 0
    for shape in shapes.values():
        size = 1
        for length in shape:
            size *= length
        total += size
    return total


def bytes_needed(network: Network, kind: str, batch: int) -> int:
    """About what a row takes at least: activations (twice when training, with their gradients), weights four times."""
    found = count(network)
    per_image = found.activations * (2 if kind == "train" else 0.5)
    return int(4 * (batch * per_image + 4 * parameters(found.shapes)))


def _walk(layers: list[tuple[Any, ...]], shape: tuple[int, ...], found: Counted) -> tuple[int, ...]:
    """The shape after ``layers``; what they cost goes to ``found``."""
    for layer in layers:
        kind, rest = layer[0], layer[1:]
        if kind == "conv":
            name, kernel, stride, pad, filters, bias = rest
            height, width = (_length(n, kernel, stride, pad) for n in shape[:2])
            _weights(found, name, (kernel, kernel, shape[2], filters), bias)
            _add(found, 2 * kernel * kernel * shape[2] * filters * height * width)
            shape = (height, width, filters)
        elif kind == "dense":
            name, units = rest
            _weights(found, name, (shape[0], units), True)
            _add(found, 2 * shape[0] * units)
            shape = (units,)
        elif kind == "norm":
            found.shapes.update({rest[0] + "/scale": shape[2:], rest[0] + "/offset": shape[2:]})
        elif kind == "max_pool":
            size, stride, pad = rest
            shape = (*(_length(n, size, stride, pad) for n in shape[:2]), shape[2])
        elif kind == "global_avg_pool":
            shape = shape[2:]
        elif kind == "flatten":
            shape = (shape[0] * shape[1] * shape[2],)
        elif kind == "residual":
            inner, shortcut = rest
            after = _walk(inner, shape, found)
            _walk(shortcut, shape, found)
            shape = after
        if kind != "flatten":
            found.activations += parameters({"": shape})
    return shape


def _length(length: int, kernel: int, stride: int, pad: int) -> int:
    return (length + 2 * pad - kernel) // stride + 1


def _weights(found: Counted, name: str, shape: tuple[int, ...], bias: bool) -> None:
    found.shapes[name + "/kernel"] = shape
    if bias:
        found.shapes[name + "/bias"] = shape[-1:]


def _add(found: Counted, flops: int) -> None:
    found.first = found.first or flops
    found.flops += flops
