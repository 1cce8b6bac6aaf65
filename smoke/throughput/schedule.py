"""Which rows the next process measures: every planned row its processes by priority, then the wide ones more.

Nothing here knows a clock: what is left of the budget comes in, what a process took is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Sequence

from smoke.throughput import networks, stats

if TYPE_CHECKING:
    from smoke.throughput.rows import Row

#: A row is done when its interval is at most this share of its median wide.
NARROW = 0.02
#: Rows that share one process at most: enough to make the framework's start cheap.
SHARED = 6
#: Processes that measure the roof.
ROOF_PROCESSES = 3
#: What a row and a process take until one has been seen, in seconds; a large network is known to take longer.
ROW_SECONDS = 4.0
START_SECONDS = 5.0
#: A network computes at least so many FLOP/s, a tenth of the roof where that is known; a row takes five steps at least.
SLOW_FLOPS = 2e10
ROOF_SHARE = 0.1
LEAST_STEPS = 5
#: Seconds for each layer with a kernel that compiling takes at first (measured on two busy processors: up to 12).
COMPILE_SECONDS = {"compiled": 10.0, "compiled_channels_last": 10.0, "jit": 4.0}


def layers(row: Row) -> int:
    """How many layers with a kernel a row's network has."""
    shapes = networks.count(networks.NETWORKS[row.model]).shapes
    return len([name for name in shapes if name.endswith("/kernel")])


class Tally:
    """What is known of one row."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.samples: list[list[float]] = []
        #: images/s of the fastest lap, for each process
        self.fastest: list[float] = []
        self.reason = ""
        self.error = ""
        self.seconds: float | None = None
        self.first_step: float | None = None
        self.peaks_host: list[int | None] = []
        self.peaks_device: list[int | None] = []

    @property
    def open(self) -> bool:
        """Whether it may still be measured."""
        return not (self.reason or self.error)

    def narrow(self) -> bool:
        """Whether its interval is narrow enough."""
        return len(self.samples) > 1 and stats.narrow(stats.stat(self.samples), NARROW)

    def cost(self, flops: float) -> float:
        """Seconds that one process is expected to need for it where ``flops`` are computed in one of them."""
        if self.seconds is not None:
            return self.seconds
        step = self.row.batch * self.row.described()["flops_per_image"] / flops
        return max(ROW_SECONDS, LEAST_STEPS * step)

    def compiling(self) -> float:
        """Seconds that the first process is expected to need besides."""
        return 0.0 if self.samples else layers(self.row) * COMPILE_SECONDS.get(self.row.mode, 0.0)


class Schedule:
    """The rows, and how many processes each is to get."""

    def __init__(self, rows: Iterable[Row], processes: int, whole: bool) -> None:
        """``whole``: the plan of everything, with the roof, and with what is left of the budget for wide rows."""
        self.tallies = {row.id: Tally(row) for row in rows}
        self.processes = processes
        self.start_seconds = START_SECONDS
        self.flops = SLOW_FLOPS
        self.roof_seconds = ROW_SECONDS
        self.roofs = 0
        self.roofs_wanted = min(processes, ROOF_PROCESSES) if whole else 0
        self.whole = whole
        self.round = 0

    @property
    def most(self) -> int:
        """How many processes a row gets before any gets more."""
        return self.processes

    def add(self, rows: Iterable[Row]) -> None:
        """Rows that are planned only now that the device is known."""
        for row in rows:
            self.tallies.setdefault(row.id, Tally(row))

    def cost(self, tally: Tally) -> float:
        """Seconds that one process is expected to need for a row."""
        return tally.cost(self.flops)

    def expected(self, chosen: Sequence[Row], with_roof: bool) -> float:
        """Seconds that a process is expected to need."""
        tallies = [self.tallies[row.id] for row in chosen]
        rows = sum(self.cost(tally) + tally.compiling() for tally in tallies)
        return self.start_seconds + rows + (self.roof_seconds if with_roof else 0.0)

    def arguments(self, chosen: Sequence[Row], left: float) -> list[str]:
        """What the process is told beside its rows; on a GPU the first one plans its own, of which this one is one."""
        share = ["--share", str(self.processes)] if self.whole and self.round == 1 else []
        return ["--seconds", str(max(0.0, left)), *share]

    def next(self, left: float) -> tuple[list[Row], bool] | None:
        """([rows], whether the roof too) of the next process when ``left`` seconds of the budget are left, or None.

        The first process always comes; a row is begun only where all its processes are likely to fit, so that
        the budget ends in a few rows known well.
        """
        self.round += 1
        with_roof = self.roofs < self.roofs_wanted
        if self.round > 1:
            left -= self.start_seconds + (self.roof_seconds if with_roof else 0.0)
        chosen = self._due(left) or (self._wide(left) if self.whole and self.round > 1 else [])
        if not chosen:
            return None
        # Another row goes first each time: what the first one suffers or leaves behind is shared out.
        turn = (self.round - 1) % len(chosen)
        return chosen[turn:] + chosen[:turn], with_roof

    def _due(self, left: float) -> list[Row]:
        """Rows that have not had their processes; those begun first, then by priority."""
        waiting = [tally for tally in self.tallies.values() if tally.open and len(tally.samples) < self.processes]
        waiting.sort(key=lambda tally: (not tally.samples, tally.row.tier))
        if self.round == 1:
            return [tally.row for tally in waiting if tally.row.tier == waiting[0].row.tier or not self.whole]
        chosen: list[Row] = []
        # What rows already begun still need is theirs, and later processes have to start too.
        room = left - self.start_seconds * (self.processes - 1)
        room -= sum(self.cost(tally) * (self.processes - len(tally.samples)) for tally in waiting if tally.samples)
        for tally in waiting:
            if len(chosen) == SHARED:
                break
            if tally.samples and self.cost(tally) <= left:
                chosen.append(tally.row)
                left -= self.cost(tally)
            elif not tally.samples:
                need = tally.compiling() + self.cost(tally) * self.processes
                if need <= room:
                    chosen.append(tally.row)
                    room -= need
        return chosen

    def _wide(self, left: float) -> list[Row]:
        """Measured rows whose interval is still wide, the most important first."""
        chosen = []
        for tally in sorted(self.tallies.values(), key=lambda tally: tally.row.tier):
            if tally.open and tally.samples and self.cost(tally) <= left and not tally.narrow():
                chosen.append(tally.row)
                left -= self.cost(tally)
        return chosen[:SHARED]
