"""Rows of a GPU as somebody would write them by hand: python torch_gpu_loop.py THREADS cuda|cpu ROW..."""

import itertools

import gpu
import torch
from torch import nn
from torch.nn import functional

THREADS, DEVICE, ROWS = gpu.arguments()
torch.set_num_threads(THREADS)
if DEVICE == "cuda" and not torch.cuda.is_available():
    raise SystemExit("this loop needs a GPU, and PyTorch sees none")


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels != filters:
            shortcut = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(filters))

    def forward(self, x):
        """As in He et al. 2015."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


def resnet18():
    """ResNet-18 for 224 x 224."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(channels, filters, stride), Block(filters, filters, 1)]
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def cnn():
    """The small CNN for 28 x 28."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1600, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def make(row):
    """steps(n) of a row."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = row.precision == "tf32"
    large = row.model == "resnet18"
    layout = torch.channels_last if row.mode.endswith("channels_last") else torch.contiguous_format
    net = (resnet18() if large else cnn()).to(DEVICE, memory_format=layout).train(row.kind == "train")
    model = torch.compile(net) if row.mode.startswith("compiled") else net
    graphed = row.mode == "cuda_graph"
    more = {"capturable": True, "fused": True} if graphed else {}
    if large:
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    else:
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, **more)
    half = {"amp": torch.float16, "bf16": torch.bfloat16}.get(row.precision)
    scaler = torch.amp.GradScaler(DEVICE, enabled=row.precision == "amp")
    shape, classes = ((3, 224, 224), 1000) if large else ((1, 28, 28), 10)
    batches = [(torch.rand(row.batch, *shape), torch.randint(0, classes, (row.batch,))) for _ in range(2)]
    if row.feed == "host" and DEVICE == "cuda":
        batches = [tuple(tensor.pin_memory() for tensor in batch) for batch in batches]
    fed = itertools.cycle(batches)

    def placed():
        images, labels = (tensor.to(DEVICE, non_blocking=True) for tensor in next(fed))
        return images.contiguous(memory_format=layout), labels

    still = placed()

    def forward(images):
        with torch.autocast(DEVICE, dtype=half, enabled=half is not None):
            return model(images)

    def train():
        images, labels = placed() if row.feed == "host" else still
        optimiser.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(images).float(), labels)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()

    def infer():
        with torch.no_grad():
            forward((placed() if row.feed == "host" else still)[0])

    step = train if row.kind == "train" else infer
    if graphed:
        step = captured(step)

    def steps(count):
        for _ in range(count):
            step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return steps


def captured(step):
    """As in PyTorch's notes on CUDA graphs."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


gpu.told(ROWS, make)
