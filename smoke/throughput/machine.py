"""The machine while it measures: its processors, who else used them, and what makes its figures doubtful."""

from __future__ import annotations

import glob
import os
import platform
from typing import Any, Callable, Iterable

from smoke import cgroup
from smoke.throughput import stats

#: Share of the processors that others may take before a run is marked.
OTHERS = 0.05
#: Share by which the median window may be slower than the fastest lap.
DISTURBED = 0.1


def _read(root: str, path: str) -> str:
    try:
        with open(os.path.join(root, path)) as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError):
        return ""


def processor(root: str = "/") -> str:
    """The processor's model name, or at least its architecture."""
    for line in _read(root, "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.machine()


def governor(root: str = "/") -> str | None:
    """The frequency governor (several are joined), or None where it cannot be read, as in most virtual machines."""
    files = glob.glob(os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"))
    return "+".join(sorted({_read("/", file).strip() for file in files})) or None


def load(root: str = "/") -> float:
    """The load of the last minute, 0 where the kernel does not say."""
    return float((_read(root, "proc/loadavg").split() or ["0"])[0])


class Moment:
    """Counters at one moment; two of them tell what happened between."""

    def __init__(self, clock: Callable[[], float], root: str = "/") -> None:
        self.at = clock()
        ticks = float(os.sysconf("SC_CLK_TCK"))
        #: seconds: user nice system idle iowait irq softirq steal (guest time is in user time)
        words = _read(root, "proc/stat").split("\n")[0].split()
        self.ticks = [int(word) / ticks for word in words[1:9]]
        self.online = len([line for line in _read(root, "proc/stat").splitlines() if line[:4].startswith("cpu")]) - 1
        own = os.times()
        self.own = own.user + own.system + own.children_user + own.children_system
        self.throttled = _throttled(root)

    def others(self, before: Moment) -> float | None:
        """Processors that others took since ``before``, the hypervisor's other guests too; None where unknown."""
        if len(self.ticks) < 8 or len(before.ticks) < 8 or self.at <= before.at:
            return None
        busy = sum(now - then for index, (now, then) in enumerate(zip(self.ticks, before.ticks)) if index not in (3, 4))
        return round(max(0.0, busy - (self.own - before.own)) / (self.at - before.at), 3)


def _throttled(root: str) -> int:
    """How often the processors have slowed down for heat, as far as the kernel counts it."""
    files = glob.glob(os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/package_throttle_count"))
    counts = [_read("/", file).strip() for file in files]
    return max([int(count) for count in counts if count.isdigit()] or [0])


def marks(*, online: int, cpus: float, load_start: float, others: float | None, throttled: int) -> list[str]:
    """Why the figures are not to be trusted, one sentence each."""
    found = []
    if load_start > online:
        found.append(f"busy: load {load_start:.1f} on {online} processors when it started")
    if others is not None and online - others < (1 - OTHERS) * cpus:
        found.append(f"busy: other programs took {others:.2f} of {online} processors while it measured")
    if throttled:
        found.append(f"throttled: the processor slowed down for heat {throttled} times while it measured")
    return found


def disturbed(rows: Iterable[dict[str, Any]]) -> list[str]:
    """The mark of a machine whose rows (the document's) mostly take longer than they need.

    The hypervisor's other guests slow down caches and memory, which no counter of the guest shows.
    """
    medians = [(row["images_per_second"] or {}).get("median") for row in rows]
    lost = [stats.median(row["fastest"]) / median - 1.0 for row, median in zip(rows, medians) if median]
    if not lost or stats.median(lost) <= DISTURBED:
        return []
    words = "disturbed: steps took {:.0%} longer than the fastest ones; something beside this run slows them down"
    return [words.format(stats.median(lost))]


def cpus(root: str = "/") -> float:
    """Processors' worth of time that this group may use."""
    allowed = float(len(os.sched_getaffinity(0)))
    return min(allowed, cgroup.quota(root) or allowed)
