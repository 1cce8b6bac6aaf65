"""Images and labels, the same for every framework."""

import numpy

#: Host-fed steps take so many batches in turn.
BATCHES = 2


def made(network, row, channels_first=False):
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
