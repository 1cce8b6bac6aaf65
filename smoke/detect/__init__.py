"""Detection: what the kernel, NVML, the CUDA driver and the framework each say about the GPU. Facts, no verdict.

Only a type checker, which takes TYPE_CHECKING for true, imports typing here: that would cost each witness's process
more milliseconds than the kernel's answer.
"""

from .collect import collect

__all__ = ["collect"]
