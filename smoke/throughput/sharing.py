"""How rows share a GPU's few processes: a start costs seconds there, so that one process measures many rows.

Three processes at most have every headline row; the rest of the budget goes down the list, first to rows not
measured before. The parent plans with ``Shared``, the process decides with ``Turns`` what still fits, since the
first process alone finds out how fast the card is. Nothing here knows a clock but ``run``, which is given one.
"""

from __future__ import annotations

from typing import Any, Callable, Iterable, Sequence

from smoke.throughput import cards, rows, schedule, stats

PROCESSES = 3
START_SECONDS = 6.0
#: What is kept of a process's time for its end, and for a last row that takes longer than was expected.
END_SECONDS = 1.0
#: What a row takes where its steps are short (to build, to grow warm, windows), and the least steps that it takes.
ROW_SECONDS = 2.5
LEAST_STEPS = 8
#: Seconds that the roof takes, and the operations of its products, as many of each precision as a row has steps.
ROOF_SECONDS = 8.0
ROOF_FLOPS = 4 * LEAST_STEPS * 2 * 8192**3
#: Seconds for each layer with a kernel that compiling takes at first (ResNet-18 compiled on an H100: 19 for 21).
COMPILE_SECONDS = 1.0


def parts(framework: str, processes: int) -> list[str]:
    """What each process has, first to last: everything, or of TensorFlow, TF32 apart from the rest.

    TensorFlow keeps the algorithm that it has found for a convolution's shape, with the cores it may use
    (tensorflow#58846 shows what then happens), so that one process cannot have float32 both ways.
    """
    count = min(processes, PROCESSES)
    return ["all"] * count if framework == "torch" else ["but tf32", "tf32"] * count


def has(part: str, row: rows.Row) -> bool:
    """Whether a row belongs to a part."""
    return part == "all" or (row.precision == "tf32") == (part == "tf32")


class Costs:
    """Seconds that rows take: as they took, or by the operations of the rows that are known."""

    def __init__(self, known: dict[str, float] | Iterable[tuple[str, float]] | None = None) -> None:
        #: {row's id: seconds}
        self.known = dict(known or {})
        #: [(row, FLOP/s)]
        self.rates: list[tuple[rows.Row, float]] = []

    def told(self, row: rows.Row, images_per_second: float, seconds: float) -> None:
        """What was measured of a row."""
        self.known[row.id] = seconds
        self.rates.append((row, images_per_second * row.described()["flops_per_image"]))

    def flops(self, row: rows.Row) -> float | None:
        """FLOP/s that a row reaches at least: the slowest of the rows most like it; None where there are none."""
        like: list[Callable[[rows.Row], bool]] = [
            lambda other: (other.model, other.kind, other.precision) == (row.model, row.kind, row.precision),
            lambda other: (other.model, other.kind) == (row.model, row.kind),
            lambda other: other.model == row.model,
            lambda other: True,
        ]
        found = ([flops for other, flops in self.rates if alike(other)] for alike in like)
        return next((min(of_them) for of_them in found if of_them), None)

    def of(self, row: rows.Row) -> float:
        """Seconds for a row; steps count for nothing where no rate is known."""
        if row.id in self.known:
            return self.known[row.id]
        flops = self.flops(row)
        steps = LEAST_STEPS * row.batch * row.described()["flops_per_image"] / flops if flops else 0.0
        compiling = schedule.layers(row) * COMPILE_SECONDS if row.mode in schedule.COMPILE_SECONDS else 0.0
        return ROW_SECONDS + steps + compiling

    def roof(self) -> float:
        """Seconds for the roof."""
        slowest = min((flops for row, flops in self.rates if row.model == "resnet18"), default=None)
        return ROOF_SECONDS + (ROOF_FLOPS / slowest if slowest else 0.0)


class Turns:
    """The rows of one process: which of them is next, and when there is time for no more."""

    def __init__(
        self,
        waiting: Iterable[rows.Row],
        costs: Costs,
        seconds: float,
        *,
        later: Sequence[Sequence[rows.Row]] = (),
        start: float = START_SECONDS,
        with_roof: bool = False,
    ) -> None:
        """``later``: the headline rows of each process that is to come, for which time is left."""
        self.waiting = list(waiting)
        self.costs = costs
        self.seconds = seconds - END_SECONDS
        self.later = later
        self.start = start
        self.with_roof = with_roof
        self.begun = False

    def next(self, elapsed: float) -> rows.Row | None:
        """The row to measure ``elapsed`` seconds after the start, or None. The first row always comes."""
        kept = self.costs.roof() if self.with_roof else 0.0
        kept += sum(self.start + sum(self.costs.of(row) for row in theirs) for theirs in self.later)
        row: rows.Row | None
        for row in self.waiting:
            headline = row.tier == rows.HEADLINE
            if elapsed < self.seconds if headline else elapsed + self.costs.of(row) + kept <= self.seconds:
                break
        else:
            row = None if self.begun or not self.waiting else self.waiting[0]
        self.begun = True
        if row is not None:
            self.waiting.remove(row)
        return row


def run(turns: Turns, measure: Callable[[rows.Row], float | None], clock: Callable[[], float]) -> None:
    """Measure row after row by ``measure(row)``, which gives images/s or None; ``clock()`` counts from the start."""
    row = turns.next(clock())
    while row is not None:
        started = clock()
        rate = measure(row)
        if rate is not None:
            turns.costs.told(row, rate, clock() - started)
        row = turns.next(clock())


def first(
    framework: str,
    planned: Sequence[rows.Row],
    card: dict[str, Any],
    seconds: float,
    *,
    processes: int,
    start: float,
    with_roof: bool,
) -> Turns:
    """The Turns of the first process on a GPU, which knows nothing yet; ``card`` is what ``hello`` says of it."""
    mine, *later = parts(framework, processes)
    able = [row for row in planned if not cards.refused(row.precision, card["capability"])]
    waiting = [row for row in able if row.tier <= rows.WANTED and has(mine, row)]
    headline = [row for row in able if row.tier == rows.HEADLINE]
    theirs = [[row for row in headline if has(part, row)] for part in later]
    return Turns(waiting, Costs(), seconds, later=theirs, start=start, with_roof=with_roof)


def _order(tally: schedule.Tally) -> tuple[bool, bool, int]:
    """The headline rows, those that the first process had no time for, then by how much they matter."""
    tier = tally.row.tier
    return tier != rows.HEADLINE, bool(tally.samples) or tier > rows.WANTED, tier


class Shared(schedule.Schedule):
    """The parent's plan of what the processes after the first one measure."""

    def __init__(
        self, framework: str, planned: Sequence[rows.Row], card: dict[str, Any], *, processes: int, number: int
    ) -> None:
        """``card`` is what the first process said of it; ``number`` processes have been planned."""
        super().__init__(planned, processes, True)
        self.round = number
        self.parts = parts(framework, processes)
        self.roofs_wanted = 1
        self.start_seconds = START_SECONDS
        self.share = 0.0
        for tally in self.tallies.values():
            tally.reason = cards.refused(tally.row.precision, card["capability"])

    @property
    def most(self) -> int:
        """How many processes a row gets."""
        return min(self.processes, PROCESSES)

    def costs(self) -> Costs:
        """The Costs of what is known by now."""
        found = Costs()
        for tally in self.tallies.values():
            if tally.samples:
                rate = stats.median([stats.median(process) for process in tally.samples])
                found.told(tally.row, rate, tally.seconds)  # type: ignore[arg-type]  # as it was measured
        return found

    def expected(self, chosen: Sequence[rows.Row], with_roof: bool) -> float:
        """Seconds that a process may take: its share."""
        return self.share

    def next(self, left: float) -> tuple[list[rows.Row], bool] | None:
        """([rows], whether the roof too) of the next process, or None where there is none.

        What the headline rows leave is shared by the processes to come, but the next one has what it takes for rows
        that the first one had no time for; those that only measure TF32 have what that takes.
        """
        self.round += 1
        costs, coming = self.costs(), self.parts[self.round - 1 :]
        if not coming:
            return None
        part, with_roof = coming[0], self.roofs < self.roofs_wanted
        waiting = [
            tally
            for tally in self.tallies.values()
            if tally.open and has(part, tally.row) and len(tally.samples) < PROCESSES
        ]
        waiting.sort(key=_order)
        needs = [self._need(costs, coming_part) for coming_part in coming]
        spare = left - sum(needs) - (costs.roof() if with_roof else 0.0)
        wide = [number for number, coming_part in enumerate(coming) if coming_part != "tf32"]
        first_time = sum(costs.of(t.row) for t in waiting if not t.samples and 0 < t.row.tier <= rows.WANTED)
        more = max(max(0.0, spare) / max(1, len(wide)), min(spare, first_time + END_SECONDS)) if 0 in wide else 0.0
        self.share = needs[0] + more
        if not waiting or left < self.start_seconds + costs.of(waiting[0].row):
            return None
        self.share = min(left, self.share + (costs.roof() if with_roof else 0.0))
        leading = [tally.row for tally in waiting if tally.row.tier == rows.HEADLINE]
        # Another row goes first each time: what the first one suffers is shared out.
        turn = (self.round - 1) % max(1, len(leading))
        return leading[turn:] + leading[:turn] + [t.row for t in waiting if t.row.tier != rows.HEADLINE], with_roof

    def _need(self, costs: Costs, part: str) -> float:
        headline = [t.row for t in self.tallies.values() if t.open and t.row.tier == rows.HEADLINE and has(part, t.row)]
        return self.start_seconds + sum(map(costs.of, headline))

    def arguments(self, chosen: Sequence[rows.Row], left: float) -> list[str]:
        """What the process is told beside its rows."""
        costs = self.costs()
        told = ",".join(f"{costs.of(row):.3f}" for row in chosen)
        return ["--seconds", f"{self.share:.3f}", "--costs", told]
