"""What PyTorch does while it is timed: the networks of smoke/throughput/networks.py, and the machine's roof."""

import itertools

import torch
from torch.nn import functional

from smoke.backends import torch_ops
from smoke.context import SkipError
from smoke.throughput import feeds, networks


class _Residual(torch.nn.Module):
    def __init__(self, inner, shortcut):
        super().__init__()
        self.inner = inner
        self.shortcut = shortcut

    def forward(self, x):
        return self.inner(x) + self.shortcut(x)


def build(layers, shapes, channels):
    """(torch.nn.Sequential of the layers, the channels after it); ``shapes`` is that of the whole network."""
    stack = []
    for kind, *rest in layers:
        if kind == "conv":
            _, kernel, stride, pad, filters, bias = rest
            stack.append(torch.nn.Conv2d(channels, filters, kernel, stride, pad, bias=bias))
            channels = filters
        elif kind == "norm":
            stack.append(torch.nn.BatchNorm2d(channels))
        elif kind == "relu":
            stack.append(torch.nn.ReLU(inplace=True))
        elif kind == "max_pool":
            stack.append(torch.nn.MaxPool2d(*rest))
        elif kind == "global_avg_pool":
            stack += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
        elif kind == "flatten":
            stack.append(torch.nn.Flatten())
        elif kind == "dense":
            stack.append(torch.nn.Linear(*shapes[rest[0] + "/kernel"]))
        elif kind == "residual":
            inner, after = build(rest[0], shapes, channels)
            stack.append(_Residual(inner, build(rest[1], shapes, channels)[0]))
            channels = after
        else:
            raise ValueError("no layer {!r}".format(kind))
    return torch.nn.Sequential(*stack), channels


class Workload:
    """One row: ``run(n)`` takes n steps and waits for them."""

    def __init__(self, backend, row):
        if row.mode == "compiled" and not hasattr(torch, "compile"):
            raise SkipError("torch.compile came with PyTorch 2.0; this is {}".format(torch.__version__))
        torch.manual_seed(0)
        self.backend = backend
        network = networks.NETWORKS[row.model]
        self.layout = torch.channels_last if row.mode == "channels_last" else torch.contiguous_format
        net, _ = build(network.layers, networks.count(network).shapes, network.input[2])
        self.net = net.to(backend.device, memory_format=self.layout)
        self.parameters = sum(parameter.numel() for parameter in net.parameters())
        rule, settings = network.optimiser
        self.optimiser = torch_ops.optimiser(rule, settings, list(net.parameters()))
        self.amp = row.precision == "amp"
        self.scaler = _scaler() if self.amp else None
        made = feeds.made(network, row, channels_first=True)
        self.host = itertools.cycle(made) if row.feed == "host" else None
        self.batch = self._placed(*made[0])
        self.net.train(row.kind == "train")
        self.call = torch.compile(self.net) if row.mode == "compiled" else self.net
        self.run = {"train": self._train, "infer": self._infer}[row.kind]

    def _placed(self, images, labels):
        images = torch.tensor(images, device=self.backend.device).contiguous(memory_format=self.layout)
        return images, torch.tensor(labels, device=self.backend.device)

    def _next(self):
        return self.batch if self.host is None else self._placed(*next(self.host))

    def _forward(self, images):
        if not self.amp:
            return self.call(images)
        with torch.autocast(self.backend.device.type, dtype=torch.float16):
            return self.call(images).float()

    def _train(self, count):
        for _ in range(count):
            images, labels = self._next()
            self.optimiser.zero_grad()
            loss = functional.cross_entropy(self._forward(images), labels)
            if self.scaler is None:
                loss.backward()
                self.optimiser.step()
            else:
                self.scaler.scale(loss).backward()
                self.scaler.step(self.optimiser)
                self.scaler.update()
        self.backend.synchronise()

    def _infer(self, count):
        # Not inference_mode, under which the first versions of torch.compile fail.
        with torch.no_grad():
            for _ in range(count):
                self._forward(self._next()[0])
        self.backend.synchronise()

    def close(self):
        """Nothing is held open."""


def _scaler():
    # torch.amp.GradScaler since 2.3, where the older name began to warn.
    return torch.amp.GradScaler("cuda") if hasattr(torch.amp, "GradScaler") else torch.cuda.amp.GradScaler()


def matmul(backend, size, half):
    """run(n): n products of two square matrices."""
    kind = torch.float16 if half else torch.float32
    left = torch.rand(size, size, dtype=torch.float32, device=backend.device).to(kind)
    result = torch.empty_like(left)
    return _repeated(backend, lambda: torch.mm(left, left, out=result))


def add(backend, size):
    """run(n): n times one array of ``size`` numbers added to another, in place."""
    total = torch.ones(size, device=backend.device)
    other = torch.ones(size, device=backend.device)
    return _repeated(backend, lambda: total.add_(other))


def host_to_device(backend, size):
    """run(n): n copies of ``size`` numbers from pinned memory."""
    source = torch.ones(size).pin_memory()
    target = torch.empty(size, device=backend.device)
    return _repeated(backend, lambda: target.copy_(source, non_blocking=True))


def launch(backend):
    """run(n): n additions of one number."""
    one = torch.ones(1, device=backend.device)
    return _repeated(backend, lambda: one.add_(1.0))


def _repeated(backend, operation):
    def run(count):
        for _ in range(count):
            operation()
        backend.synchronise()

    return run


def device_memory(backend):
    """Bytes of the GPU's memory, None on a CPU."""
    return torch.cuda.get_device_properties(0).total_memory if backend.device.type == "cuda" else None


def forget_peak(backend):
    """From now on count the peak of device memory anew."""
    if backend.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(backend):
    """The most that tensors took of the device's memory, None on a CPU."""
    return torch.cuda.max_memory_allocated() if backend.device.type == "cuda" else None
