"""Takes the memory of every visible GPU but LEAVE bytes, by libcuda alone, until stdin ends: ``python hold.py LEAVE``.

Writes one line once it holds it. Plain allocations, never managed memory: those can hang a GPU.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p

_LEAST = 1 << 20


def main(arguments: list[str]) -> int:
    """0 once stdin has ended; the memory goes back with the process."""
    leave, cuda = int(arguments[0]), ctypes.CDLL("libcuda.so.1")
    _checked("cuInit", cuda.cuInit(c_uint(0)))
    count = c_int(0)
    _checked("cuDeviceGetCount", cuda.cuDeviceGetCount(byref(count)))
    for index in range(count.value):
        _fill(cuda, index, leave)
    print(f"held {count.value}", flush=True)
    sys.stdin.read()
    return 0


def _fill(cuda: ctypes.CDLL, index: int, leave: int) -> None:
    device, context = c_int(0), c_void_p()
    _checked("cuDeviceGet", cuda.cuDeviceGet(byref(device), c_int(index)))
    _checked("cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(byref(context), device))
    _checked("cuCtxSetCurrent", cuda.cuCtxSetCurrent(context))
    piece = _free(cuda)
    while piece >= _LEAST and (free := _free(cuda)) > leave:
        size = min(piece, free - leave)
        # What is free need not be in one piece.
        if cuda.cuMemAlloc_v2(byref(c_uint64()), c_size_t(size)) != 0:
            piece //= 2


def _free(cuda: ctypes.CDLL) -> int:
    free, total = c_size_t(0), c_size_t(0)
    _checked("cuMemGetInfo", cuda.cuMemGetInfo_v2(byref(free), byref(total)))
    return free.value


def _checked(name: str, code: int) -> None:
    if code != 0:
        raise SystemExit(f"{name} returned {code}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
