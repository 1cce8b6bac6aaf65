"""Training the small CNN as somebody would write it by hand: python torch_loop.py THREADS; prints images/s."""

import sys

import laps
import torch
from torch import nn

BATCH = 128

torch.set_num_threads(int(sys.argv[1]))
device = "cuda" if torch.cuda.is_available() else "cpu"
net = nn.Sequential(
    nn.Conv2d(1, 32, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(1600, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
).to(device)
optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
images = torch.rand(BATCH, 1, 28, 28, device=device)
labels = torch.randint(0, 10, (BATCH,), device=device)


def steps(count):
    """Take ``count`` steps and wait for the last."""
    for _ in range(count):
        optimiser.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimiser.step()
    return loss.item()


laps.told(steps, BATCH)
