"""The framework's testimony: what it was built for, what it sees, and what it says when asked to use it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings

from smoke import copies, settings, trial
from smoke import distributions as installed

from . import wheels
from .tree import clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .witness import Notes

_WANTED = re.compile(
    r"^(torch|tensorflow(-(gpu|cpu|intel|rocm|aarch64|cpu-aws))?|tf-nightly(-gpu|-cpu)?|numpy|jax|triton|nvidia-.*)$"
)
#: Seconds for a step of training with the user's settings, and for the search of the one that breaks it.
_STEP, _SEARCH = 40.0, 80.0


def observe(notes: Notes, root: str, framework: str | None) -> None:
    """Put the facts about torch, tf1 or tf2 into `notes`; importing it is the slow part (seconds)."""
    notes.put("name", framework)
    notes.put("distributions", distributions())
    notes.calling("look at the files of its wheels")
    notes.put("files", wheels.damaged())
    environ = dict(os.environ)  # TensorFlow sets variables of its own
    # torch says why there is no GPU in a Python warning and TensorFlow in C++ on stderr; the parent keeps both.
    warnings.simplefilter("always")
    (_torch if framework == "torch" else _tensorflow)(notes)
    said = "\n".join(str(value) for key, value in sorted(notes.facts.items()) if key.endswith("_error"))
    notes.put("blamed", wheels.blamed(said))
    module = "torch" if framework == "torch" else "tensorflow"
    notes.put("file", clip(getattr(sys.modules.get(module), "__file__", None) or "") or None)
    there = copies.seen(module)
    notes.put("copies", there)
    notes.put("unmet", [clip(line) for row in there["providers"][:1] for line in installed.unmet(row["name"])][:20])
    _settings(notes, framework or "torch", environ)


def distributions() -> dict[str, list[str]]:
    """{name: [versions]} of the frameworks, numpy and nvidia-* wheels on sys.path."""
    found: dict[str, list[str]] = {}
    for name, version, _ in installed.folders():
        if _WANTED.match(name) and version not in found.setdefault(name, []):
            found[name].append(version)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def _settings(notes: Notes, framework: str, environ: dict[str, str]) -> None:
    """What the user has set, and which of it a step of training fails with and works without."""
    suspects = settings.suspects(settings.users(environ))
    notes.put("settings", {clip(name): clip(value) for name, value in sorted(suspects.items())})
    if not suspects or settings.VARIABLE in environ:  # a run has a check of its own for them
        return
    notes.calling("a step of training with the user's settings")
    # Others may be using the GPU: a TensorFlow that is not told so takes all of its memory.
    environ = dict({"TF_FORCE_GPU_ALLOW_GROWTH": "true"}, **environ)
    problem, _ = trial.step(framework, environ, _STEP)
    if not problem:
        return
    with tempfile.TemporaryDirectory() as home:

        def tried(name: str, limit: float) -> str:
            return trial.step(framework, settings.without(environ, name, home), limit, name in settings.CUSTOMISED)[0]

        guilty = trial.guilty(suspects, _SEARCH, _STEP, tried)
    notes.put("step", {"problem": clip(problem), "guilty": {clip(name): clip(suspects[name]) for name in guilty}})


def _try(notes: Notes, key: str, function: Callable[[], Any]) -> Any:
    """Put function()'s result under `key`, or what went wrong under `key`_error."""
    notes.calling(key)
    try:
        value = function()
    except Exception as error:  # a framework may raise anything at all; what it says is the fact
        notes.put(key + "_error", clip(f"{type(error).__name__}: {error}", 2000))
        return None
    notes.put(key, value)
    return value


def _import(notes: Notes, name: str) -> Any:
    notes.calling("import " + name)
    try:
        return __import__(name)
    except Exception as error:
        notes.put("import_error", clip(f"{type(error).__name__}: {error}", 2000))
        return None


def _torch(notes: Notes) -> None:
    torch = _import(notes, "torch")
    if torch is None:
        return
    _try(notes, "version", lambda: clip(torch.__version__, 60))
    _try(notes, "built_cuda", lambda: torch.version.cuda)
    _try(notes, "built_hip", lambda: getattr(torch.version, "hip", None))
    # Without a GPU torch.cuda.get_arch_list() is empty; the flags of the build are not.
    _try(notes, "arch_list", lambda: _words(getattr(torch._C, "_cuda_getArchFlags", str)()))
    _try(notes, "cudnn", lambda: torch.backends.cudnn.version() if torch.version.cuda else None)
    _try(notes, "available", lambda: bool(torch.cuda.is_available()))
    count = _try(notes, "count", lambda: int(torch.cuda.device_count()))
    if notes.facts.get("built_cuda") or notes.facts.get("built_hip"):
        _try(notes, "initialised", lambda: torch.cuda.init() is None)
    if count and notes.facts.get("initialised"):
        _try(notes, "devices", lambda: [
            {"name": clip(torch.cuda.get_device_name(i), 100),
             "compute_capability": list(torch.cuda.get_device_capability(i))}
            for i in range(min(count, 64))])  # fmt: skip
        _try(notes, "probe", lambda: float((torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")).sum()))
        # A product needs no cuDNN: what is broken there shows in nothing but a convolution.
        if "probe" in notes.facts:
            _try(notes, "convolution", lambda: _torch_convolution(torch))


def _torch_convolution(torch: Any) -> float:
    kernel = torch.ones(4, 3, 3, 3, device="cuda", requires_grad=True)
    torch.nn.functional.conv2d(torch.ones(1, 3, 8, 8, device="cuda"), kernel).sum().backward()
    return float(kernel.grad.sum())


def _words(text: str | None) -> list[str]:
    return (text or "").split()


def _tensorflow(notes: Notes) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # whoever silenced it silenced the cause too
    tf = _import(notes, "tensorflow")
    if tf is None:
        return
    _try(notes, "version", lambda: clip(tf.__version__, 60))
    test = getattr(tf, "test", None)
    if test is None or not hasattr(tf, "__version__"):  # what is left after uninstalling one of two: an empty package
        notes.put("import_error", "tensorflow is an empty namespace package")
        return
    built = _try(notes, "is_cuda_build", lambda: bool(test.is_built_with_cuda()))
    _try(notes, "is_rocm_build", lambda: bool(getattr(test, "is_built_with_rocm", bool)()))
    info = _try(notes, "build_info", lambda: {k: clip(v, 60) for k, v in _build_info(tf).items()
                                              if k in ("cuda_version", "cudnn_version")}) or {}  # fmt: skip
    notes.put("built_cuda", info.get("cuda_version") if built else None)
    _try(notes, "count", lambda: _tf_count(tf))
    if notes.facts.get("count"):
        _try(notes, "probe", lambda: _tf_run(tf, _tf_product))
        if "probe" in notes.facts:
            _try(notes, "convolution", lambda: _tf_run(tf, _tf_convolution))


def _build_info(tf: Any) -> dict[str, Any]:
    sysconfig: Any = getattr(tf, "sysconfig", None)
    if hasattr(sysconfig, "get_build_info"):
        return dict(sysconfig.get_build_info())
    from tensorflow.python.platform import build_info  # 1.15 and 2.0 to 2.2 have no public way

    return {
        "cuda_version": getattr(build_info, "cuda_version_number", ""),
        "cudnn_version": getattr(build_info, "cudnn_version_number", ""),
    }


def _tf_count(tf: Any) -> int:
    if hasattr(tf, "config") and hasattr(tf.config, "list_physical_devices"):
        return len(tf.config.list_physical_devices("GPU"))
    if hasattr(tf, "config") and hasattr(tf.config, "experimental"):
        return len(tf.config.experimental.list_physical_devices("GPU"))
    from tensorflow.python.client import device_lib

    return len([d for d in device_lib.list_local_devices() if d.device_type == "GPU"])


def _tf_run(tf: Any, make: Callable[[Any], Any]) -> float:
    v1 = tf.compat.v1
    # Without this the session would take all of the GPU's memory from whoever else uses it.
    config = v1.ConfigProto(gpu_options=v1.GPUOptions(allow_growth=True))
    with tf.Graph().as_default(), v1.Session(config=config) as session, tf.device("/GPU:0"):
        return float(session.run(tf.reduce_sum(make(tf))))


def _tf_product(tf: Any) -> Any:
    # Random numbers, since a graph of constants is computed on the processor before it is run.
    values = tf.compat.v1.random_uniform([8, 8])
    return tf.matmul(values, values)


def _tf_convolution(tf: Any) -> Any:
    kernel = tf.compat.v1.random_uniform([3, 3, 3, 4])
    image = tf.compat.v1.random_uniform([1, 8, 8, 3])
    result = tf.nn.conv2d(image, kernel, [1, 1, 1, 1], "VALID")
    return tf.compat.v1.gradients(tf.reduce_sum(result), kernel)[0]
