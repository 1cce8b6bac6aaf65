"""Whether the installed framework is a cpu or a gpu env, read from its own files: nothing of it is imported."""

from __future__ import annotations

import importlib.util
import os
import re

from smoke import distributions

#: Where a build says what it was built with; TensorFlow 1.15 keeps its files in a package of another name.
BUILDS = {
    "torch": (("torch", "version.py", r"^cuda\b[^=\n]*= *['\"]"),),
    "tensorflow": (
        ("tensorflow", "python/platform/build_info.py", r"is_cuda_build\W+True"),
        ("tensorflow_core", "python/platform/build_info.py", r"is_cuda_build\W+True"),
    ),
}
#: The driver's own node, on Linux and in WSL.
NODES = ("dev/nvidiactl", "dev/dxg")


def installed(framework: str, root: str = "/") -> str:
    """``gpu`` for a CUDA build, else ``cpu``, also where nothing is installed (the check ``imports`` fails then).

    TensorFlow's plain wheel is a CUDA build that serves a CPU too: without any CUDA library it counts as ``gpu``
    only where a driver's node is below ``root``, whose GPU it then misses.
    """
    if not any(_cuda_build(*place) for place in BUILDS["torch" if framework == "torch" else "tensorflow"]):
        return "cpu"
    if framework == "torch" or distributions.cuda(distributions.installed()):
        return "gpu"
    return "gpu" if any(os.path.exists(os.path.join(root, node)) for node in NODES) else "cpu"


def _cuda_build(package: str, name: str, pattern: str) -> bool:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module in sys.modules without a spec
        return False
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
                return re.search(pattern, stream.read(), re.M) is not None
        except OSError:
            continue
    return False
