"""cuDNN and NCCL: what is loaded is what the framework was compiled for."""

from __future__ import annotations

from typing import Iterable

from smoke import distributions, gpu
from smoke.context import Context, Result, SkipError, failed, passed

ID = "cudnn-nccl"
KIND = "verify"
ASSERTS = "cuDNN is of the major version compiled for and at least its minor; the nvidia wheels are the ones loaded"
APPLIES = {"variants": ("gpu",)}


def compatible(loaded: tuple[int, ...], compiled: tuple[int, ...]) -> bool:
    """cuDNN's rule: the same major version, and at least the minor."""
    return loaded[0] == compiled[0] and loaded[1:2] >= compiled[1:2]


def wheels(installed: dict[str, str], stem: str, required: Iterable[str] = ()) -> dict[str, tuple[int, ...]]:
    """{name: release} of the nvidia wheels for a library, whatever their CUDA suffixes.

    Where the framework's metadata requires one of them (``required``), that one alone: another package may have
    brought one for another CUDA.
    """
    named = [name for name in installed if name == stem or name.startswith(stem + "-cu")]
    named = [name for name in named if name in required] or named
    return {name: distributions.release(installed[name])[:3] for name in sorted(named)}


def run(context: Context) -> Result:
    """Ask the library itself for its version, and compare with the build's and the wheel's."""
    library, name, problem = gpu.loadable("libcudnn")
    if name is None:
        raise SkipError("no libcudnn is in this process, in an nvidia wheel or in the system; see cuda-libraries")
    if library is None:
        return failed(f"cuDNN does not load: {problem}", "loads", problem)
    loaded = gpu.cudnn_version(library.cudnnGetVersion())
    found = {"cudnn": loaded, "file": name}
    compiled = context.backend.cudnn_compiled()
    if compiled and not compatible(loaded, compiled):
        return failed("another cuDNN than the build's comes first; clear LD_LIBRARY_PATH", compiled, found)
    own = context.expect.get("distribution", context.framework)
    required = [name for name, _ in distributions.required(own) if name != own]
    packaged = wheels(context.distributions(), "nvidia-cudnn", required)
    if packaged and loaded not in packaged.values():
        return failed("the cuDNN loaded is not the wheel's; clear LD_LIBRARY_PATH", packaged, found)
    nccl, packaged = context.backend.nccl(), wheels(context.distributions(), "nvidia-nccl", required)
    if required and not set(packaged) & set(required):
        packaged = {}  # the build has NCCL inside itself, and the wheel is another package's
    found["nccl"] = nccl
    if nccl and packaged and tuple(nccl[:3]) not in packaged.values():
        return failed("the NCCL loaded is not the wheel's; clear LD_LIBRARY_PATH", packaged, found)
    return passed(found, compiled)
