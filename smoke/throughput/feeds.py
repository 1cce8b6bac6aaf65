"""Images and labels, the same for every framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from smoke.throughput.networks import Network
    from smoke.throughput.rows import Row

#: Host-fed steps take so many batches in turn.
BATCHES = 2


def made(network: Network, row: Row, channels_first: bool = False) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
    """[(images, labels)] in the host's memory, images as the framework's own pipeline would hand them over."""
    generator = numpy.random.RandomState(0)
    height, width, channels = network.input
    shape = (channels, height, width) if channels_first else (height, width, channels)
    return [
        (
            generator.random_sample((row.batch, *shape)).astype("float32"),
            generator.randint(0, network.classes, row.batch),
        )
        for _ in range(BATCHES if row.feed == "host" else 1)
    ]
