"""``python -m smoke.step FRAMEWORK``: one step of training as a user writes it, with whatever is set around it."""

from __future__ import annotations

import os
import sys

from smoke import distributions


def torch_step() -> None:
    """A convolution, its gradient, a step."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)).to(device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.rand(8, 1, 8, 8, device=device)).square().mean().backward()
    optimiser.step()


def tensorflow_step() -> None:
    """The same by tf.keras, images laid out as it is set to take them."""
    import numpy
    import tensorflow as tf

    keras = tf.keras
    shape = (1, 8, 8) if keras.backend.image_data_format() == "channels_first" else (8, 8, 1)
    layers = [keras.layers.Conv2D(4, 3, input_shape=shape), keras.layers.Flatten(), keras.layers.Dense(2)]
    network = keras.Sequential(layers)
    network.compile(optimizer="sgd", loss="mse")
    network.fit(numpy.random.rand(8, *shape), numpy.zeros((8, 2)), verbose=0)
    if os.environ.get("XLA_FLAGS") and distributions.release(tf.__version__) >= (2, 5):  # read when XLA is first used
        tf.function(lambda x: x * 2, jit_compile=True)(numpy.float32(1))


if __name__ == "__main__":
    torch_step() if sys.argv[1] == "torch" else tensorflow_step()
