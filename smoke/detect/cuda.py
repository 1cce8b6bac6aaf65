"""The CUDA driver's testimony: libcuda by ctypes, which needs no framework and no toolkit.

Source of the signatures: NVIDIA's cuda.h.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_uint, c_void_p

from .loading import load
from .tree import Tree, clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .witness import Notes

_ATTRIBUTE_COMPUTE_MODE, _ATTRIBUTE_MAJOR, _ATTRIBUTE_MINOR = 20, 75, 76
_MAX_DEVICES = 64


def observe(notes: Notes, root: str, framework: str | None = None) -> None:
    """Put libcuda's answers into `notes`: path, version, cuInit's code, devices, and whether a context can be made."""
    notes.calling("dlopen libcuda.so.1")
    library, facts = load("libcuda.so.1", Tree(root))
    notes.put("library", facts)
    if library is None:
        return
    driver = _Driver(library, notes)
    version = c_int(0)
    code = driver.call("cuDriverGetVersion", byref(version))
    notes.put("version", version.value if code == 0 else None)
    code = driver.call("cuInit", c_uint(0))
    notes.put("init", driver.named(code))
    if code != 0:
        return
    count = c_int(0)
    code = driver.call("cuDeviceGetCount", byref(count))
    notes.put("count", count.value if code == 0 else None)
    notes.put("count_code", driver.named(code))
    devices = []
    for index in range(max(0, min(count.value, _MAX_DEVICES))) if code == 0 else ():
        devices.append(_device(driver, index))
        notes.put("devices", devices)


class _Driver:
    def __init__(self, library: ctypes.CDLL, notes: Notes) -> None:
        self.library = library
        self.notes = notes

    def call(self, name: str, *arguments: Any) -> int | None:
        """The CUresult, or None where this libcuda does not export the call."""
        self.notes.calling(name)
        try:
            function = getattr(self.library, name)
        except AttributeError:
            return None
        return function(*arguments)

    def named(self, code: int | None) -> dict[str, Any]:
        """{"code", "name", "text"} by libcuda's own names."""
        if code is None:
            return {"code": None, "name": "symbol not exported", "text": None}
        words = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            known = self.call(name, c_int(code), byref(text)) == 0 and text.value
            words.append(clip(text.value, 120) if known else None)
        return {"code": code, "name": words[0], "text": words[1]}


def _device(driver: _Driver, index: int) -> dict[str, Any]:
    handle = c_int(0)
    code = driver.call("cuDeviceGet", byref(handle), c_int(index))
    if code != 0:
        return {"index": index, "error": driver.named(code)}
    name, bus = (c_char * 256)(), (c_char * 32)()
    uuid = (ctypes.c_ubyte * 16)()
    total = c_size_t(0)
    facts: dict[str, Any] = {"index": index}
    if driver.call("cuDeviceGetName", name, c_int(255), handle) == 0:
        facts["name"] = clip(name.value, 100)
    if driver.call("cuDeviceGetPCIBusId", bus, c_int(31), handle) == 0:
        facts["pci"] = clip(bus.value, 40)
    if driver.call("cuDeviceGetUuid", uuid, handle) == 0:
        text = bytes(bytearray(uuid)).hex()
        facts["uuid"] = "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    if driver.call("cuDeviceTotalMem_v2", byref(total), handle) == 0:
        facts["memory_total"] = total.value
    values = [_attribute(driver, which, handle) for which in (_ATTRIBUTE_MAJOR, _ATTRIBUTE_MINOR)]
    facts["compute_capability"] = values if None not in values else None
    facts["compute_mode"] = _attribute(driver, _ATTRIBUTE_COMPUTE_MODE, handle)
    # Only a context proves that the GPU can be used: exclusive mode, ECC and full memory show here and not before.
    context = c_void_p()
    code = driver.call("cuDevicePrimaryCtxRetain", byref(context), handle)
    facts["context"] = driver.named(code)
    if code == 0:
        driver.call("cuDevicePrimaryCtxRelease_v2", handle)
    return facts


def _attribute(driver: _Driver, which: int, handle: c_int) -> int | None:
    value = c_int(0)
    return value.value if driver.call("cuDeviceGetAttribute", byref(value), c_int(which), handle) == 0 else None
