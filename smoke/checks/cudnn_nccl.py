"""cuDNN and NCCL: what is loaded is what the framework was compiled for."""

from smoke import distributions, gpu
from smoke.context import SkipError, failed, passed

ID = "cudnn-nccl"
KIND = "verify"
ASSERTS = "cuDNN is of the major version compiled for and at least its minor; the nvidia wheels are the ones loaded"
APPLIES = {"variants": ("gpu",)}


def compatible(loaded, compiled):
    """cuDNN's rule: the same major version, and at least the minor."""
    return loaded[0] == compiled[0] and loaded[1:2] >= compiled[1:2]


def wheel(installed, stem):
    """(name, release) of the nvidia wheel for a library, whatever its CUDA suffix; None without one."""
    for name, version in sorted(installed.items()):
        if name == stem or name.startswith(stem + "-cu"):
            return name, distributions.release(version)
    return None


def run(context):
    """Ask the library itself for its version, and compare with the build's and the wheel's."""
    files = gpu.libraries("libcudnn")
    if not files:
        raise SkipError("no libcudnn is in this process or in an nvidia wheel; see cuda-libraries")
    library, problem = gpu.opened(files[0])
    if library is None:
        return failed("cuDNN does not load: {}".format(problem), "loads", problem)
    loaded = gpu.cudnn_version(library.cudnnGetVersion())
    found = {"cudnn": loaded, "file": files[0]}
    compiled = context.backend.cudnn_compiled()
    if compiled and not compatible(loaded, compiled):
        return failed("another cuDNN than the build's comes first; clear LD_LIBRARY_PATH", compiled, found)
    packaged = wheel(context.distributions(), "nvidia-cudnn")
    if packaged and packaged[1][:3] != loaded[: len(packaged[1][:3])]:
        return failed("the cuDNN loaded is not the wheel's; clear LD_LIBRARY_PATH", packaged, found)
    nccl, packaged = context.backend.nccl(), wheel(context.distributions(), "nvidia-nccl")
    found["nccl"] = nccl
    if nccl and packaged and tuple(nccl[:3]) != packaged[1][:3]:
        return failed("the NCCL loaded is not the wheel's; clear LD_LIBRARY_PATH", packaged, found)
    return passed(found, compiled)
