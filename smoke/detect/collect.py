"""One document of facts from four witnesses; no verdict."""

import platform
import time

from .witness import Inquiry

SCHEMA_VERSION = 1
#: Seconds for NVML, libcuda and the kernel: eight GPUs without the persistence daemon take well over ten to start.
DRIVER_LIMIT = 30.0
#: Seconds for a framework's import and first operation.
FRAMEWORK_LIMIT = 180.0


def collect(root="/", framework=None, timeout=DRIVER_LIMIT, framework_timeout=FRAMEWORK_LIMIT):
    """Ask the kernel, NVML, the CUDA driver and, if named, the framework (torch, tf1, tf2), each in its own process.

    `root` is the file system whose /proc, /sys, /dev and /etc are looked at. Never raises for what it finds: a witness
    that hangs or dies is a fact. A witness that was not asked is None.
    """
    started = time.monotonic()
    inquiries = {name: Inquiry(name, root, None, timeout) for name in ("kernel", "nvml", "cuda")}
    document = {"schema_version": SCHEMA_VERSION, "python": platform.python_version(), "root": root}
    for name, inquiry in inquiries.items():
        document[name] = inquiry.answer()
    # After the others: it would compete with them for the GPU's start-up, and it takes memory on it. Where the driver
    # hangs it will hang too, and need not be waited for as long.
    limit = min(timeout, framework_timeout) if document["cuda"]["witness"]["status"] == "hang" else framework_timeout
    document["framework"] = Inquiry("framework", root, framework, limit).answer() if framework else None
    document["seconds"] = round(time.monotonic() - started, 3)
    return document
