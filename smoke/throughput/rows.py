"""Which rows there are for a framework, in the order in which they are worth measuring."""

from __future__ import annotations

import itertools
from typing import Any

from smoke.throughput import cards, networks

#: How a framework computes, the plain way first.
MODES = {
    "torch": ("eager", "channels_last", "compiled"),
    "tf2": ("graph", "jit", "eager"),
    "tf1": ("session",),
}
#: What a GPU's rows have for each role; TensorFlow chooses the layout of tensors itself.
LAYOUT = {"torch": "channels_last", "tf2": "graph", "tf1": "session"}
COMPILED = {"torch": "compiled_channels_last", "tf2": "jit"}
#: A whole step as one launch.
LAUNCHED = {"torch": "cuda_graph", "tf2": "jit"}
KINDS = ("train", "infer")
BATCHES = (128, 32, 512, 1)
#: On a GPU the rows of this tier come in every process, and those up to the other one before anything comes twice.
HEADLINE, WANTED = 0, 6

FIELDS = ("model", "kind", "mode", "batch", "precision", "feed")


class Row:
    """One thing to measure; ``tier`` 0 comes first."""

    def __init__(self, tier: int, values: tuple[str, str, str, int, str, str]) -> None:
        self.tier = tier
        self.model, self.kind, self.mode, self.batch, self.precision, self.feed = values

    @property
    def id(self) -> str:
        """``cnn/train/eager/128/fp32/device``."""
        return "/".join(str(getattr(self, name)) for name in FIELDS)

    def described(self) -> dict[str, Any]:
        """The part of its entry that is known before it is measured."""
        found = {name: getattr(self, name) for name in FIELDS}
        found["id"] = self.id
        found["flops_per_image"] = networks.flops_per_image(networks.NETWORKS[self.model], self.kind)
        return found


def planned(framework: str, device: str, full: int = cards.FULL[0]) -> list[Row]:
    """Every row for the framework on ``cpu`` or ``cuda``, first things first; ``full`` is the batch that fills it."""
    tiers = _gpu(framework, full) if device == "cuda" else _cpu(framework)
    found: dict[str, Row] = {}
    for tier, (models, kinds, *rest) in enumerate(tiers):
        for model, mode, batch, precision, feed, kind in itertools.product(models, *rest, kinds):
            row = Row(tier, (model, kind, mode, batch, precision, feed))
            found.setdefault(row.id, row)
    return list(found.values())


def _cpu(framework: str) -> list[tuple[Any, ...]]:
    modes = MODES[framework]
    plain, fp32, device = modes[:1], ("fp32",), ("device",)
    return [
        # models, kinds, modes, batches, precisions, feeds
        (("cnn",), KINDS, modes, (128,), fp32, device),
        ((), KINDS, modes, (128,), fp32, device),
        (("cnn",), KINDS, plain, (32, 512, 1), fp32, device),
        (("cnn",), KINDS, plain, (128,), fp32, ("host",)),
        (("resnet18",), KINDS, plain, (1, 32), fp32, device),
        (("cnn",), KINDS, modes, BATCHES, fp32, ("device", "host")),
        (("resnet18",), KINDS, modes, BATCHES, fp32, device),
    ]


def _gpu(framework: str, full: int) -> list[tuple[Any, ...]]:
    """First what machines are compared by: training ResNet-18 in each precision, then what is best, and launches."""
    modes = MODES[framework]
    layout, plain = (LAYOUT[framework],), modes[:1]
    compiled, launched = (tuple(of[framework] for _ in range(framework in of)) for of in (COMPILED, LAUNCHED))
    resnet, cnn, device, half = ("resnet18",), ("cnn",), ("device",), ("amp", "bf16")
    return [
        # models, kinds, modes, batches, precisions, feeds
        (resnet, ("train",), plain, (128,), ("fp32", "tf32", *half), device),
        (resnet, ("train",), layout, (128,), half, device),
        (resnet, ("infer",), layout, (128,), ("amp",), device),
        (cnn, ("train",), plain + launched, (128,), ("fp32",), device),
        (resnet, ("train",), layout, (full,), ("amp",), device),
        (resnet, ("train",), layout, (128,), ("amp",), ("host",)),
        (resnet, ("train",), compiled, (128,), ("amp",), device),
        (resnet, ("infer",), plain + layout, (128,), ("fp32", "tf32", "bf16"), device),
        (cnn, ("infer",), plain + launched, (128,), ("fp32",), device),
        (resnet, ("train",), compiled, (128,), ("bf16",), device),
        (("cnn", "resnet18"), KINDS, modes, (128,), ("fp32", "amp"), device),
        (cnn, KINDS, plain, (32, 512, 1), ("fp32",), device),
        (cnn, KINDS, plain, (128,), ("fp32",), ("host",)),
        (resnet, KINDS, plain, (1, 32), ("fp32",), device),
        (cnn, KINDS, modes, BATCHES, ("fp32", "amp"), ("device", "host")),
        (resnet, KINDS, modes, BATCHES, ("fp32", "amp"), device),
    ]


def parse(text: str, framework: str) -> Row:
    """The row that an id names; ValueError says what is not understood."""
    known = {row.id: row for full in cards.FULL for row in planned(framework, "cuda", full)}
    if text not in known:
        first = planned(framework, "cpu")[0]
        raise ValueError(f"no row {text!r}; one of them is {first.id}")
    return known[text]
