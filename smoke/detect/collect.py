"""One document of facts from four witnesses; no verdict."""

from __future__ import annotations

import os
import platform
import time

from . import nodes
from .tree import Tree
from .witness import Inquiry, testimony

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SCHEMA_VERSION = 1
#: Seconds for NVML, libcuda and the kernel: eight GPUs without the persistence daemon take well over ten to start.
DRIVER_LIMIT = 30.0
#: Seconds for a framework's import and first operation.
FRAMEWORK_LIMIT = 180.0


def collect(
    root: str = "/",
    framework: str | None = None,
    timeout: float = DRIVER_LIMIT,
    framework_timeout: float = FRAMEWORK_LIMIT,
    answered: Callable[[str, dict[str, Any]], Any] | None = None,
    *,
    here: bool = False,
) -> dict[str, Any]:
    """Ask the kernel, NVML, the CUDA driver and, if named, the framework (torch, tf1, tf2), each in its own process.

    `root` is the file system whose /proc, /sys, /dev and /etc are looked at. Never raises for what it finds: a witness
    that hangs or dies is a fact. A witness that was not asked is None. `answered(name, facts)` is told of each answer
    as soon as it is there, from the kernel's up to the framework's. `here`: this process, which has imported it, asks
    the framework itself; only for a build without a driver to hang in.
    """
    answered = answered or (lambda name, facts: None)
    started, tree = time.monotonic(), Tree(root)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "python": platform.python_version(),
        "root": root,
        "pid": os.getpid(),
    }
    # A driver started by root makes its nodes when it is asked: what there was before it was is known only here.
    before = nodes.present(tree)
    inquiries = {name: Inquiry(name, root, None, timeout) for name in ("kernel", "nvml", "cuda")}
    for name, inquiry in inquiries.items():
        document[name] = inquiry.answer()
        answered(name, document[name])
    document["nodes"] = {"before": before, "after": nodes.present(tree)}
    # After the others: it would compete with them for the GPU's start-up, and it takes memory on it. Where the driver
    # hangs it will hang too, and need not be waited for as long.
    limit = min(timeout, framework_timeout) if document["cuda"]["witness"]["status"] == "hang" else framework_timeout
    document["framework"] = None
    if framework:
        asked = testimony(root, framework) if here else Inquiry("framework", root, framework, limit).answer()
        document["framework"] = asked
        answered("framework", document["framework"])
    document["seconds"] = round(time.monotonic() - started, 3)
    return document
