"""What several checks ask about GPUs: the witnesses' counts, architectures, library versions and loaded files."""

from __future__ import annotations

import glob
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Iterable

from smoke.context import Context, NoRoomError, SkipError

if TYPE_CHECKING:
    import ctypes

#: What this process has loaded.
MAPS = "/proc/self/maps"
#: What the sonames of a CUDA library end in, from CUDA 13 and cuDNN 9 down.
SONAMES = {"libcudart": ("13", "12", "11.0"), "libcudnn": ("9", "8", "7")}
#: How frameworks, cuBLAS and cuDNN call it when the GPU has no room for them.
NO_ROOM = re.compile(
    r"out.of.memory|OOM when allocating|RESOURCE_EXHAUSTED|Dst tensor is not initialized|"
    r"CU(BLAS|DNN)_STATUS_ALLOC_FAILED",
    re.I,
)
#: What is said too where there was no room, and elsewhere for other reasons.
ECHO = re.compile(r"CU(BLAS|DNN)_STATUS_NOT_INITIALIZED|bfc_allocator\.cc:\d+\] [*_x]+$")
#: Bytes with which every check has room: the contexts of two processes with their libraries, about 0.6 GB each on an
#: H100, and a small network in each. Where as much was free, being out of memory is a fault.
ROOM = 2 << 30


def facts(context: Context) -> dict[str, Any]:
    """The detection facts, collected once."""

    def collect() -> dict[str, Any]:
        from smoke import detect

        return detect.collect(framework=context.framework, here=context.expect.get("variant") == "cpu")

    return context.once("detection", collect)


def require(context: Context) -> None:
    """SkipError unless this run was promised a GPU."""
    if not context.want("gpu"):
        raise SkipError("no GPU was given to this run; on a machine with one, run the gpu env there")


def counts(found: dict[str, Any]) -> dict[str, int | None]:
    """{witness: number of GPUs it sees}; None where the witness could not count."""
    return {name: (found.get(name) or {}).get("count") for name in ("nvml", "cuda", "framework")}


def capabilities(found: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """{index: (major, minor)} by the CUDA driver."""
    devices = (found.get("cuda") or {}).get("devices") or []
    return {d["index"]: tuple(d["compute_capability"]) for d in devices if d.get("compute_capability")}


def place(device: dict[str, Any]) -> str:
    """What NVML and CUDA both say of where a GPU is: domain, bus and device, in lower case and without zeros."""
    return (device.get("pci") or "").lower().lstrip("0")


def ours(found: dict[str, Any]) -> list[dict[str, Any]]:
    """NVML's entries of the GPUs that CUDA offers to this process, in CUDA's order; all where that cannot be told.

    CUDA_VISIBLE_DEVICES hides GPUs from CUDA, and none from NVML.
    """
    entries = (found.get("nvml") or {}).get("devices") or []
    by_place = {place(entry): entry for entry in entries if place(entry)}
    places = [place(device) for device in (found.get("cuda") or {}).get("devices") or []]
    chosen = [by_place[where] for where in dict.fromkeys(places) if where in by_place]
    return chosen or entries


def no_room(found: dict[str, Any] | None, words: str) -> str | None:
    """Why a check cannot be carried out on a GPU whose memory others hold, or None where ``words`` tell of a fault.

    ``found`` are the detection facts, looked up before this run had taken memory; None where there are none.
    """
    if not (NO_ROOM.search(words) or ECHO.search(words)):
        return None
    memory = next((entry.get("memory") for entry in ours(found or {})), None)
    if not memory or memory["free"] >= ROOM:
        return None
    mebibytes = [int(memory[key] // 2**20) for key in ("free", "total")]
    return "{} of {} MiB free on the GPU, and this needs more; end what holds the rest".format(*mebibytes)


def refuse_without_room(context: Context, words: str) -> None:
    """NoRoomError where ``words``, an exception's or a process's, are those of a GPU that others have filled."""
    if context.expect.get("gpu") and (NO_ROOM.search(words) or ECHO.search(words)):
        reason = no_room(facts(context), words)
        if reason:
            raise NoRoomError(reason)


def runs_on(capability: tuple[int, ...], architectures: Iterable[str]) -> str | None:
    """How a wheel built for ``architectures`` (sm_86, compute_90, sm_90a, …) runs on a capability: sass, ptx or None.

    Machine code runs on the same major with an equal or later minor, PTX on anything as new or newer. Code for an
    architecture with an "a" runs on exactly that one, with an "f" on its family: the same major, an equal or later
    minor (CUDA C++ Programming Guide, compute capabilities). The host side holds the same rule, and one table of
    cases both.
    """
    how = None
    for architecture in architectures:
        match = re.match(r"^(sm|compute)_(\d{1,3})(\d)([af]?)$", architecture)
        if not match:
            continue
        kind, built, narrower = match.group(1), (int(match.group(2)), int(match.group(3))), match.group(4)
        if narrower == "a":
            fits = built == capability
        elif narrower == "f" or kind == "sm":
            fits = built[0] == capability[0] and built <= capability
        else:
            fits = built <= capability
        if fits and kind == "sm":
            return "sass"
        how = "ptx" if fits else how
    return how


def cudnn_version(number: int) -> tuple[int, int, int]:
    """(major, minor, patch) of cudnnGetVersion(), which counts differently from 9 on: 8902 is 8.9.2, 90100 is 9.1.0."""
    base = 10000 if number >= 90000 else 1000
    return number // base, number % base // 100, number % 100


def libraries(stem: str) -> list[str]:
    """Files of a CUDA library: those this process has loaded, then those of the nvidia wheels."""
    found = []
    # PyTorch's own wheels up to 2.0 hold them under names like libcudart-e409450e.so.11.0.
    named = re.compile(re.escape(stem) + r"(-[0-9a-f]{8})?\.so(\.|$)")
    with open(MAPS) as stream:
        for line in stream:
            path = line.rstrip("\n").partition("/")[2]
            if named.match(os.path.basename(path)):
                found.append("/" + path)
    for folder in sys.path:
        # nvidia/<library>/lib up to CUDA 12, nvidia/cu13/lib from 13 on.
        found += sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", stem + ".so*")))
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


def loadable(stem: str) -> tuple[ctypes.CDLL | None, str | None, str | None]:
    """(the library, its file or name, the loader's own words): ``libraries``, else what the loader finds by itself.

    The latter is CUDA as a distribution, conda or NVIDIA's images install it: by soname, the newest first.
    """
    files = libraries(stem)
    if files:
        library, problem = opened(files[0])
        return library, files[0], problem
    for name in [f"{stem}.so.{major}" for major in SONAMES[stem]]:
        library, problem = opened(name)
        if library is not None:
            return library, name, None
    return None, None, "no file of that name"


def opened(path: str) -> tuple[ctypes.CDLL | None, str | None]:
    """The library, or the loader's own words."""
    import ctypes  # the supervisor imports this module, and does without

    try:
        return ctypes.CDLL(path), None
    except OSError as problem:
        return None, str(problem)
