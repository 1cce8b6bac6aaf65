"""What PyTorch does while it is timed: the networks of smoke/throughput/networks.py, and the machine's roof."""

from __future__ import annotations

import inspect
import itertools
from typing import TYPE_CHECKING, Any, Callable, Iterable

import torch
from torch.nn import functional

from smoke.backends import torch_graph, torch_ops
from smoke.context import SkipError
from smoke.throughput import feeds, networks

if TYPE_CHECKING:
    from smoke.backends.torch_backend import Backend
    from smoke.throughput.networks import Network
    from smoke.throughput.rows import Row

#: What autocast computes in.
HALVES = {"amp": torch.float16, "bf16": torch.bfloat16}


class _Residual(torch.nn.Module):
    def __init__(self, inner: Any, shortcut: Any) -> None:
        super().__init__()
        self.inner = inner
        self.shortcut = shortcut

    def forward(self, x: Any) -> Any:
        return self.inner(x) + self.shortcut(x)


def build(layers: Iterable[tuple[Any, ...]], shapes: dict[str, tuple[int, ...]], channels: int) -> tuple[Any, int]:
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
            raise ValueError(f"no layer {kind!r}")
    return torch.nn.Sequential(*stack), channels


class Workload:
    """One row: ``run(n)`` takes n steps and waits for them."""

    def __init__(self, backend: Backend, row: Row) -> None:
        compiled = row.mode.startswith("compiled")
        if compiled and not hasattr(torch, "compile"):
            raise SkipError(f"torch.compile came with PyTorch 2.0; this is {torch.__version__}")
        if row.mode == "cuda_graph" and backend.device.type != "cuda":
            raise SkipError("a CUDA graph needs a GPU")
        torch.manual_seed(0)
        self.backend = backend
        network = networks.NETWORKS[row.model]
        self.layout = torch.channels_last if row.mode.endswith("channels_last") else torch.contiguous_format
        net, _ = build(network.layers, networks.count(network).shapes, network.input[2])
        self.net = net.to(backend.device, memory_format=self.layout)
        self.parameters = sum(parameter.numel() for parameter in net.parameters())
        self.half = HALVES.get(row.precision)
        # float16 loses small gradients; bfloat16 has the range of float32.
        self.scaler = _scaler() if row.precision == "amp" else None
        self.optimiser = _optimiser(network, row.mode, list(net.parameters()))
        made = feeds.made(network, row, channels_first=True)
        self.host = itertools.cycle(self._loaded(made)) if row.feed == "host" else None
        self.batch = self._placed(*made[0])
        self.net.train(row.kind == "train")
        self.compiled = compiled
        self.call = torch.compile(self.net) if compiled else self.net
        self.step = {"train": self._train, "infer": self._infer}[row.kind]
        # Not inference_mode, under which the first versions of torch.compile fail.
        self.around = torch.no_grad if row.kind == "infer" else torch.enable_grad
        if row.mode == "cuda_graph":
            with self.around():
                self.step = torch_graph.captured(torch.cuda, self.step, self._forget)

    def _loaded(self, made: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """Batches in the host's memory; beside a GPU as a DataLoader with pin_memory hands them over."""
        if self.backend.device.type != "cuda":
            return made
        return [tuple(torch.from_numpy(array).pin_memory() for array in arrays) for arrays in made]

    def _placed(self, images: Any, labels: Any) -> tuple[Any, Any]:
        if isinstance(images, torch.Tensor):
            images, labels = (tensor.to(self.backend.device, non_blocking=True) for tensor in (images, labels))
        else:
            images, labels = (torch.tensor(array, device=self.backend.device) for array in (images, labels))
        return images.contiguous(memory_format=self.layout), labels

    def _next(self) -> tuple[Any, Any]:
        return self.batch if self.host is None else self._placed(*next(self.host))

    def _forward(self, images: Any) -> Any:
        if self.half is None:
            return self.call(images)
        with torch.autocast(self.backend.device.type, dtype=self.half):
            return self.call(images).float()

    def run(self, count: int) -> None:
        """Take ``count`` steps and wait for them."""
        with self.around():
            for _ in range(count):
                self.step()
        self.backend.synchronise()

    def _train(self) -> None:
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

    def _infer(self) -> None:
        self._forward(self._next()[0])

    def _forget(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)

    def close(self) -> None:
        """Let go of its tensors, and of what was compiled: after eight variants of one code it would run eagerly."""
        if self.compiled:
            torch._dynamo.reset()
        vars(self).clear()


def _optimiser(network: Network, mode: str, parameters: list[Any]) -> Any:
    rule, settings = network.optimiser
    found = torch_ops.optimiser(rule, settings, parameters)
    if mode == "cuda_graph":
        known = inspect.signature(type(found)).parameters
        found = torch_ops.optimiser(rule, settings, parameters, **torch_graph.settings(known))
    return found


def _scaler() -> Any:
    # torch.amp.GradScaler since 2.3, where the older name began to warn.
    return torch.amp.GradScaler("cuda") if hasattr(torch.amp, "GradScaler") else torch.cuda.amp.GradScaler()


def matmul(backend: Backend, size: int, kind: str) -> Callable[[int], None]:
    """run(n): n products of two square matrices of float32, float16 or bfloat16."""
    left = torch.rand(size, size, dtype=torch.float32, device=backend.device).to(getattr(torch, kind))
    result = torch.empty_like(left)
    return _repeated(backend, lambda: torch.mm(left, left, out=result))


def add(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n times one array of ``size`` numbers added to another, in place."""
    total = torch.ones(size, device=backend.device)
    other = torch.ones(size, device=backend.device)
    return _repeated(backend, lambda: total.add_(other))


def host_to_device(backend: Backend, size: int) -> Callable[[int], None]:
    """run(n): n copies of ``size`` numbers from pinned memory."""
    source = torch.ones(size).pin_memory()
    target = torch.empty(size, device=backend.device)
    return _repeated(backend, lambda: target.copy_(source, non_blocking=True))


def launch(backend: Backend) -> Callable[[int], None]:
    """run(n): n additions of one number."""
    one = torch.ones(1, device=backend.device)
    return _repeated(backend, lambda: one.add_(1.0))


def _repeated(backend: Backend, operation: Callable[[], Any]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            operation()
        backend.synchronise()

    return run


def device_memory(backend: Backend) -> int | None:
    """Bytes of the GPU's memory, None on a CPU."""
    return torch.cuda.get_device_properties(0).total_memory if backend.device.type == "cuda" else None


def capability(backend: Backend) -> tuple[int, int] | None:
    """The GPU's compute capability, None on a CPU."""
    return torch.cuda.get_device_capability(0) if backend.device.type == "cuda" else None


def forget_peak(backend: Backend) -> None:
    """From now on count the peak of device memory anew."""
    if backend.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(backend: Backend) -> int | None:
    """The most that tensors took of the device's memory, None on a CPU."""
    return torch.cuda.max_memory_allocated() if backend.device.type == "cuda" else None
