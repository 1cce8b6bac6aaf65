"""What the control group allows: processors and memory, and whether it has killed for memory.

A framework that counts the machine's cores instead of its quota runs tens of times
slower (https://github.com/ollama/ollama/issues/17916), so the thread count is always set.
"""

from __future__ import annotations

import os
from typing import Iterator


def _read(path: str) -> str:
    try:
        with open(path) as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _group(root: str, controller: str) -> Iterator[str]:
    """This process's own folder for a controller ("" is the unified hierarchy), best first."""
    base = os.path.join(root, "sys/fs/cgroup")
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            if controller:
                base = os.path.join(base, controllers)
            yield os.path.join(base, path.lstrip("/"))
    # A container sees its own group as the root of the mounted hierarchy.
    yield os.path.join(root, "sys/fs/cgroup", controller)


def quota(root: str = "/") -> float | None:
    """Processors' worth of time allowed (a float), by cpu.max or cpu.cfs_quota_us; None without a limit."""
    for folder in _group(root, ""):
        words = _read(os.path.join(folder, "cpu.max")).split()
        if len(words) == 2 and words[0] != "max":
            return float(words[0]) / float(words[1])
    for folder in _group(root, "cpu"):
        allowed = _read(os.path.join(folder, "cpu.cfs_quota_us")).strip()
        period = _read(os.path.join(folder, "cpu.cfs_period_us")).strip()
        if allowed and period and int(allowed) > 0:
            return float(allowed) / float(period)
    return None


def cpus(root: str = "/") -> int:
    """How many threads to use: the affinity mask, cut down to the quota, and at least one."""
    allowed = len(os.sched_getaffinity(0))
    limit = quota(root)
    return allowed if limit is None else max(1, min(allowed, int(limit + 0.5)))


def memory_limit(root: str = "/") -> int | None:
    """Bytes that this group may take, by memory.max or memory.limit_in_bytes; None without a limit."""
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for folder in _group(root, controller):
            text = _read(os.path.join(folder, name)).strip()
            # The first version says "no limit" by a number near 2**63.
            if text.isdigit() and int(text) < 1 << 60:
                return int(text)
    return None


def memory_kills(root: str = "/") -> int | None:
    """How often the kernel has killed in this group for memory; None where it does not say."""
    for controller, name in (("", "memory.events"), ("memory", "memory.oom_control")):
        for folder in _group(root, controller):
            for line in _read(os.path.join(folder, name)).splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return None
