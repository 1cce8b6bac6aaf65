"""PyTorch behind the interface of smoke/backends/__init__.py."""

from __future__ import annotations

import os
from typing import Any, Iterable

import numpy
import torch
from torch.nn import functional

from smoke import model
from smoke.backends import torch_ops


class Backend:
    """torch, eager."""

    DISTRIBUTIONS = ("torch",)
    MODES = ("eager",)
    #: x.momentum is the share of the new statistic, and the running variance is the unbiased one.
    MOMENTUM_IS_NEW_SHARE = True

    def __init__(self, threads: int, at_once: int = 1) -> None:
        torch.set_num_threads(threads)
        self.module = torch
        self.threads = threads
        self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        self.precision(False)

    def versions(self) -> dict[str, str]:
        """The framework's own word for its version."""
        return {"torch": torch.__version__}

    def build(self) -> dict[str, Any]:
        """What the build says of itself."""
        found = {"cuda": torch.version.cuda, "cuda_built": torch.version.cuda is not None}
        found["cudnn"] = torch.backends.cudnn.version() if found["cuda_built"] else None
        found["mkldnn"] = torch.backends.mkldnn.is_available()
        found["openmp"] = torch.backends.openmp.is_available()
        found["debug"] = bool(torch.version.debug)
        found["config"] = torch.__config__.show().split("\n")
        return found

    def gpus(self) -> int:
        """How many GPUs the framework sees."""
        return torch.cuda.device_count()

    def architectures(self) -> list[str]:
        """What the build holds kernels for; the flags are there without a GPU too."""
        return getattr(torch._C, "_cuda_getArchFlags", str)().split()

    def cudnn_compiled(self) -> tuple[int, ...] | None:
        """(major, minor, patch) of the cuDNN that the build was compiled for."""
        return tuple(torch._C._cudnn.getCompileVersion()) if hasattr(torch._C, "_cudnn") else None

    def nccl(self) -> tuple[int, ...] | None:
        """(major, minor, patch) of NCCL, or None in a build without it."""
        return torch.cuda.nccl.version() if torch.version.cuda and torch.distributed.is_available() else None

    def allocate(self, index: int) -> float:
        """Put one number on a GPU and read it back."""
        return torch.ones(1, device=f"cuda:{index}").item()

    def precision(self, tf32: bool) -> None:
        """Allow TF32 in matmul and convolution, or not."""
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32

    def deterministic(self) -> tuple[str, bool]:
        """Refuse what has no deterministic implementation; before cuBLAS has started, which reads its variable then."""
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
        return "torch.use_deterministic_algorithms(True) and cudnn.deterministic", True

    def precisions(self) -> tuple[str, ...]:
        """On a GPU the half precisions too; from Ampere (8.0) on with TF32 and bfloat16."""
        if self.device.type != "cuda":
            return ("float64", "float32")
        modern = torch.cuda.get_device_capability(self.device) >= (8, 0)
        return ("float64", "float32", "float16") + (("tf32", "bfloat16") if modern else ())

    def synchronise(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def tensor(self, array: Any, dtype: str | None = None) -> Any:
        """A copy on the device; floats in ``dtype``."""
        array = numpy.asarray(array)
        if array.dtype.kind == "f" and dtype:
            # NumPy has no bfloat16.
            array = array.astype("float32" if dtype == "bfloat16" else dtype)
        tensor = torch.from_numpy(numpy.array(array)).to(self.device)
        return tensor.bfloat16() if dtype == "bfloat16" and tensor.is_floating_point() else tensor

    def op(
        self,
        name: str,
        arrays: dict[str, Any],
        attributes: dict[str, Any],
        upstream: numpy.ndarray | None,
        *,
        dtype: str = "float32",
        mode: str = "eager",
    ) -> tuple[numpy.ndarray, dict[str, numpy.ndarray]]:
        """One operation and its gradients by reverse mode."""
        tensors = {key: self.tensor(array, dtype) for key, array in arrays.items()}
        floats = {key: tensor for key, tensor in tensors.items() if tensor.is_floating_point()}
        for tensor in floats.values():
            tensor.requires_grad_(True)
        output = torch_ops.OPS[name](tensors, attributes)
        if upstream is None:
            return numpy_of(output), {}
        output.backward(self.tensor(upstream, dtype))
        return numpy_of(output), {key: numpy_of(tensor.grad) for key, tensor in floats.items()}

    def optimise(
        self, rule: str, settings: dict[str, Any], weight: numpy.ndarray, gradients: Iterable[numpy.ndarray]
    ) -> list[numpy.ndarray]:
        """The weight after each step of the framework's own optimiser."""
        return torch_ops.optimise(self, rule, settings, weight, gradients)

    def decay(self, schedule: str, settings: dict[str, Any], steps: int) -> list[float]:
        """The learning rate the framework's scheduler gives at each step."""
        return torch_ops.decay(schedule, settings, steps)

    def initial(self, scheme: str, shape: tuple[int, ...], seed: int) -> numpy.ndarray:
        """A kernel in HWIO or (in, out) filled by the framework's initialiser."""
        return torch_ops.initial(scheme, shape, seed)

    def batch_norm(self, x: numpy.ndarray, settings: dict[str, Any], steps: int) -> dict[str, numpy.ndarray]:
        """``steps`` training passes, then one at inference."""
        return torch_ops.batch_norm(self, x, settings, steps)

    def dropout(self, x: numpy.ndarray, rate: float, training: bool, seed: int) -> numpy.ndarray:
        """The framework's dropout of ``x``."""
        torch.manual_seed(seed)
        return numpy_of(functional.dropout(self.tensor(x), rate, training))

    def load_all(self, samples: Any, batch: int) -> list[numpy.ndarray]:
        """What a shuffling DataLoader with two workers delivers."""
        return torch_ops.load_all(samples, batch)

    def classifier(self, seed: int = 0, optimiser: str = "adam", rate: float = 1e-3, mode: str = "eager") -> Classifier:
        """The CNN."""
        return Classifier(self, seed, optimiser, rate)


def numpy_of(tensor: Any) -> numpy.ndarray:
    """The tensor's values; bfloat16's as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


class Classifier:
    """The CNN of smoke/model.py as a torch.nn.Sequential with an optimiser."""

    def __init__(self, backend: Backend, seed: int, optimiser: str, rate: float) -> None:
        torch.manual_seed(seed)
        self.backend = backend
        layers, channels, named = [], model.INPUT[2], {}
        for name, filters in model.CONVOLUTIONS:
            named[name] = torch.nn.Conv2d(channels, filters, model.KERNEL)
            layers += [named[name], torch.nn.ReLU(), torch.nn.MaxPool2d(model.POOL)]
            channels = filters
        layers.append(torch.nn.Flatten())
        height, width, _ = model.last_map()
        features = height * width * channels
        for name, units in model.DENSE:
            named[name] = torch.nn.Linear(features, units)
            layers += [named[name], torch.nn.ReLU()]
            features = units
        self.net = torch.nn.Sequential(*layers[:-1]).to(backend.device)
        self.parameters = {}
        for name, layer in named.items():
            self.parameters[name + "/kernel"] = layer.weight
            self.parameters[name + "/bias"] = layer.bias
        self.optimiser = torch_ops.optimiser(optimiser, {"rate": rate}, list(self.net.parameters()))
        self.loss = torch.nn.CrossEntropyLoss()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} as the framework counts them."""
        return {name: tuple(parameter.shape) for name, parameter in self.parameters.items()}

    def weights(self) -> dict[str, numpy.ndarray]:
        """{name: array} in TensorFlow's layout."""
        return {name: self._out(name, parameter) for name, parameter in self.parameters.items()}

    def _out(self, name: str, parameter: Any) -> numpy.ndarray:
        # A copy: the optimiser changes the parameter's own memory.
        array = numpy_of(parameter).copy()
        if name.endswith("/bias"):
            return array
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        if name == "dense1/kernel":
            # Flattened from CHW here, from HWC in the common layout.
            height, width, channels = model.last_map()
            array = array.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(array), -1)
        return array.T

    def _in(self, name: str, array: numpy.ndarray) -> numpy.ndarray:
        if name.endswith("/bias"):
            return array
        if array.ndim == 4:
            return array.transpose(3, 2, 0, 1)
        array = array.T
        if name == "dense1/kernel":
            array = array.reshape((len(array), *model.last_map())).transpose(0, 3, 1, 2).reshape(len(array), -1)
        return array

    def assign(self, weights: dict[str, numpy.ndarray]) -> None:
        """Set every weight."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.backend.tensor(self._in(name, weights[name]), "float32"))

    def _images(self, x: numpy.ndarray) -> Any:
        return self.backend.tensor(numpy.ascontiguousarray(x.transpose(0, 3, 1, 2)), "float32")

    def _update(self, images: Any, labels: Any) -> Any:
        self.optimiser.zero_grad()
        loss = self.loss(self.net(images), labels)
        loss.backward()
        self.optimiser.step()
        return loss

    def step(self, x: numpy.ndarray, y: numpy.ndarray) -> float:
        """One training step; the loss before it."""
        return self._update(self._images(x), self.backend.tensor(y)).item()

    def gradients(self, x: numpy.ndarray, y: numpy.ndarray) -> tuple[float, dict[str, numpy.ndarray]]:
        """The loss, and its gradients in TensorFlow's layout."""
        self.optimiser.zero_grad()
        loss = self.loss(self.net(self._images(x)), self.backend.tensor(y))
        loss.backward()
        return loss.item(), {name: self._out(name, parameter.grad) for name, parameter in self.parameters.items()}

    def logits(self, x: numpy.ndarray) -> numpy.ndarray:
        """The network's output."""
        with torch.no_grad():
            return numpy_of(self.net(self._images(x)))

    def save(self, folder: str) -> None:
        """Write the state_dict."""
        torch.save(self.net.state_dict(), os.path.join(folder, "digits.pt"))

    def restore(self, folder: str) -> None:
        """Read it back."""
        self.net.load_state_dict(torch.load(os.path.join(folder, "digits.pt"), map_location=self.backend.device))

    def close(self) -> None:
        """Nothing is held open."""
