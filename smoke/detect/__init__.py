"""Detection: what the kernel, NVML, the CUDA driver and the framework each say about the GPU. Facts, no verdict."""

from .collect import collect

__all__ = ["collect"]
