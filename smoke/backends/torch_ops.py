"""PyTorch's single operations in the common layout (NHWC, HWIO, dense kernels as (in, out))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable

import numpy
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from smoke.backends.torch_backend import Backend


def _nchw(x: Any) -> Any:
    return x.permute(0, 3, 1, 2).contiguous()


def _nhwc(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


def _conv2d(t: dict[str, Any], a: dict[str, Any]) -> Any:
    kernel = t["kernel"].permute(3, 2, 0, 1).contiguous()
    output = functional.conv2d(_nchw(t["x"]), kernel, t["bias"], a["stride"], a["pad"], a["dilation"])
    return _nhwc(output)


OPS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "conv2d": _conv2d,
    "max_pool": lambda t, a: _nhwc(functional.max_pool2d(_nchw(t["x"]), a["size"], a["stride"])),
    "avg_pool": lambda t, a: _nhwc(functional.avg_pool2d(_nchw(t["x"]), a["size"], a["stride"])),
    "global_avg_pool": lambda t, a: functional.adaptive_avg_pool2d(_nchw(t["x"]), 1).flatten(1),
    "dense": lambda t, a: functional.linear(t["x"], t["kernel"].t(), t["bias"]),
    "relu": lambda t, a: functional.relu(t["x"]),
    "softmax": lambda t, a: functional.softmax(t["x"], dim=-1),
    "cross_entropy": lambda t, a: functional.cross_entropy(t["logits"], t["labels"], reduction="none"),
}


def optimiser(rule: str, s: dict[str, Any], parameters: list[Any], **more: Any) -> Any:
    """The framework's optimiser for a rule and its settings; ``more`` are options of its own."""
    if rule == "sgd":
        return torch.optim.SGD(parameters, lr=s["rate"], **more)
    if rule == "momentum":
        return torch.optim.SGD(parameters, lr=s["rate"], momentum=s["momentum"], **more)
    if rule == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=s["rate"], alpha=s["rho"], eps=s["epsilon"], **more)
    if rule == "adam":
        betas = s.get("beta1", 0.9), s.get("beta2", 0.999)
        return torch.optim.Adam(parameters, lr=s["rate"], betas=betas, eps=s.get("epsilon", 1e-8), **more)
    raise KeyError(rule)


def optimise(
    backend: Backend, rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
) -> list[numpy.ndarray]:
    """The weight after each step."""
    parameter = torch.nn.Parameter(backend.tensor(weight))
    stepper = optimiser(rule, settings, [parameter])
    found = []
    for gradient in gradients:
        parameter.grad = backend.tensor(gradient)
        stepper.step()
        found.append(parameter.detach().cpu().numpy().copy())
    return found


def decay(schedule: str, s: dict[str, Any], steps: int) -> list[float]:
    """The learning rate at each step."""
    stepper = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=s["rate"])
    scheduler = {
        "step": lambda: torch.optim.lr_scheduler.StepLR(stepper, s["every"], s["factor"]),
        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(stepper, s["factor"] ** (1.0 / s["every"])),
    }[schedule]()
    found = []
    for _ in range(steps):
        found.append(stepper.param_groups[0]["lr"])
        stepper.step()
        scheduler.step()
    return found


def initial(scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
    """torch.nn.init's Xavier and Kaiming, brought from OIHW to HWIO."""
    torch.manual_seed(seed)
    native = torch.empty(*(shape[::-1] if len(shape) == 2 else (shape[3], shape[2], shape[0], shape[1])))
    fill = {
        "glorot_uniform": torch.nn.init.xavier_uniform_,
        "glorot_normal": torch.nn.init.xavier_normal_,
        "he_uniform": lambda t: torch.nn.init.kaiming_uniform_(t, nonlinearity="relu"),
        "he_normal": lambda t: torch.nn.init.kaiming_normal_(t, nonlinearity="relu"),
    }[scheme]
    array = fill(native).numpy()
    return array.T if array.ndim == 2 else array.transpose(2, 3, 1, 0)


def batch_norm(backend: Backend, x: numpy.ndarray, s: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
    """Training outputs and gradients, running statistics and the output at inference, of nn.BatchNorm2d."""
    layer = torch.nn.BatchNorm2d(x.shape[-1], eps=s["epsilon"], momentum=1 - s["keep"]).to(backend.device)
    with torch.no_grad():
        layer.weight.copy_(backend.tensor(s["gamma"], "float32"))
        layer.bias.copy_(backend.tensor(s["beta"], "float32"))
    images = _nchw(backend.tensor(x, "float32")).requires_grad_(True)
    for _ in range(steps):
        trained = layer(images)
    _nhwc(trained).backward(backend.tensor(s["upstream"], "float32"))
    layer.eval()
    with torch.no_grad():
        inferred = layer(images)
    arrays = {
        "train": _nhwc(trained),
        "infer": _nhwc(inferred),
        "mean": layer.running_mean,
        "variance": layer.running_var,
        "dx": _nhwc(images.grad),
        "dgamma": layer.weight.grad,
        "dbeta": layer.bias.grad,
    }
    return {name: tensor.detach().cpu().numpy() for name, tensor in arrays.items()}


class _Samples(Dataset):
    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return self.samples[index]


def load_all(samples: Any, batch: int) -> list[numpy.ndarray]:
    """Batches from a shuffling DataLoader whose two workers hand them over in shared memory."""
    torch.manual_seed(0)
    loader = DataLoader(_Samples(numpy.asarray(samples)), batch_size=batch, shuffle=True, num_workers=2)
    return [found.numpy() for found in loader]
