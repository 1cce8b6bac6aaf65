"""The driver's user-mode library and a device node are inside."""

from __future__ import annotations

import os

from smoke import gpu
from smoke.context import Context, Result, failed, passed

ID = "driver"
KIND = "verify"
ASSERTS = "libcuda.so.1 loads, and one of /dev/nvidiactl, /dev/dxg and /dev/nvgpu is there"
APPLIES = {"variants": ("gpu",)}

NODES = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvgpu")


def run(context: Context) -> Result:
    """Load and look."""
    gpu.require(context)
    library, problem = gpu.opened("libcuda.so.1")
    nodes = [node for node in NODES if os.path.exists(node)]
    if library is None or not nodes:
        what = problem if library is None else "none of " + ", ".join(NODES)
        return failed(f"{what}; start the container with --gpus all", "both", {"nodes": nodes})
    return passed({"nodes": nodes})
