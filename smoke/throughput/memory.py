"""Host memory: how much there is, the most that this process has had resident, and what malloc keeps of it."""

from __future__ import annotations

import os

from smoke import cgroup

#: glibc's malloc gives large arrays back to the kernel and fetches them anew in each step, or does not: where the
#: heap happens to end decides it, anew in each process. Twelve processes of PyTorch trained the CNN at 2,904 to 3,764
#: images/s; told to keep what it has, twelve did so at 4,051 to 4,579 (two processors; up to 9,700 page faults a step,
#: and next to none). TensorFlow has 2 a step either way.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def available(root: str = "/") -> int:
    """Bytes that a process may still take: the kernel's MemAvailable, cut down to the control group's limit."""
    found = [int(words[1]) * 1024 for words in _fields(root, "proc/meminfo") if words[0] == "MemAvailable:"]
    limit = cgroup.memory_limit(root)
    return min(found + ([limit] if limit else []))


def peak(root: str = "/") -> int | None:
    """VmHWM of this process in bytes; None where the kernel does not say."""
    found = [int(words[1]) * 1024 for words in _fields(root, "proc/self/status") if words[0] == "VmHWM:"]
    return found[0] if found else None


def forget_peak(root: str = "/") -> None:
    """Let VmHWM start anew from what is in use now (proc(5), clear_refs); where that is refused, it only grows."""
    import ctypes  # only the process that measures needs it: the supervisor does without

    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if give_back:
        give_back(0)
    try:
        with open(os.path.join(root, "proc/self/clear_refs"), "w") as stream:
            stream.write("5")
    except OSError:
        return


def _fields(root: str, path: str) -> list[list[str]]:
    try:
        with open(os.path.join(root, path)) as stream:
            return [words for words in (line.split() for line in stream) if len(words) > 1]
    except OSError:
        return []
