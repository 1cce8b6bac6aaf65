"""Which rows there are for a framework, in the order in which they are worth measuring."""

import itertools

from smoke.throughput import networks

#: How a framework computes, the plain way first.
MODES = {
    "torch": ("eager", "channels_last", "compiled"),
    "tf2": ("graph", "jit", "eager"),
    "tf1": ("session",),
}
KINDS = ("train", "infer")
BATCHES = (128, 32, 512, 1)


FIELDS = ("model", "kind", "mode", "batch", "precision", "feed")


class Row:
    """One thing to measure; ``tier`` 0 comes first."""

    def __init__(self, tier, values):
        self.tier = tier
        self.model, self.kind, self.mode, self.batch, self.precision, self.feed = values

    @property
    def id(self):
        """``cnn/train/eager/128/fp32/device``."""
        return "/".join(str(getattr(self, name)) for name in FIELDS)

    def described(self):
        """The part of its entry that is known before it is measured."""
        found = {name: getattr(self, name) for name in FIELDS}
        found["id"] = self.id
        found["flops_per_image"] = networks.flops_per_image(networks.NETWORKS[self.model], self.kind)
        return found


def planned(framework, device):
    """Every row for the framework on ``cpu`` or ``cuda``, first things first."""
    modes = MODES[framework]
    precisions = ("fp32", "amp") if device == "cuda" else ("fp32",)
    plain, everywhere = modes[:1], (modes, BATCHES, precisions)
    tiers = [
        # models, modes, batches, precisions, feeds
        (("cnn",), modes, (128,), ("fp32",), ("device",)),
        (("cnn", "resnet18") if device == "cuda" else (), modes, (128,), precisions, ("device",)),
        (("cnn",), plain, (32, 512, 1), ("fp32",), ("device",)),
        (("cnn",), plain, (128,), ("fp32",), ("host",)),
        (("resnet18",), plain, (1, 32), ("fp32",), ("device",)),
        (("cnn",), *everywhere, ("device", "host")),
        (("resnet18",), *everywhere, ("device",)),
    ]
    found = {}
    for tier, (models, *rest) in enumerate(tiers):
        for model, mode, batch, precision, feed, kind in itertools.product(models, *rest, KINDS):
            row = Row(tier, (model, kind, mode, batch, precision, feed))
            found.setdefault(row.id, row)
    return list(found.values())


def parse(text, framework):
    """The row that an id names; ValueError says what is not understood."""
    known = {row.id: row for row in planned(framework, "cuda")}
    if text not in known:
        raise ValueError("no row {!r}; one of them is {}".format(text, next(iter(known))))
    return known[text]
