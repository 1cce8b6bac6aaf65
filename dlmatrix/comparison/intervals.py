"""The statistics: ratios of throughput with intervals, verdicts from them, and a robust centre with its spread.

The ratio of two sets of processes is that of the geometric means of their medians; its 95 % interval is
Welch's t interval of the logarithms. Between two sets of five processes it holds the truth in 95 to 98 %
of cases, on normal, skewed and heavy-tailed figures (in 92 % where one side varies twice as much and is
skewed). A bootstrap of the same ratio holds it in 86 %: resampling five processes leaves out a fifth of
their variance. tests/unit/comparison/test_intervals.py measures what is said here.

Where others share the processors, figures of processes are far too wide for that, but only ever too low: of
each process the fastest lap is taken, and of those the fastest few decide. Were B r times as fast as A in all
its processes, then the j fastest of n + n figures, each side's divided by its truth, would all be A's with a
chance of C(n, j) / C(2n, j) (Rosenbaum 1965, the precedence test). So r lies between B's j-th and A's fastest
and between B's fastest and A's j-th: with five processes a side and j = 4 in 95.2 % of cases, whatever the
figures are distributed like.

The rule, with a floor of 2 %: SAME is an interval that lies wholly between 1/1.02 and 1.02, FASTER and
SLOWER one that lies wholly outside, and everything else is UNCLEAR. So SAME has the confidence of the
interval, and what is called SLOWER is slower by more than the floor. Where many rows are compared at
once, Benjamini and Hochberg's step keeps the share of wrong ones among those called FASTER or SLOWER
under 5 %, and with it the chance that a comparison of equals calls any.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: The chance that an interval misses the truth, and that a comparison of equals calls any row FASTER or SLOWER.
MISS = 0.05
SAME, FASTER, SLOWER, UNCLEAR = "SAME", "FASTER", "SLOWER", "UNCLEAR"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio and its 95 % interval, which is not there (None) where a side has one process only."""

    ratio: float
    low: float | None = None
    high: float | None = None
    #: standard error of the ratio's logarithm, and its degrees of freedom
    error: float = 0.0
    freedom: float = 1.0

    def chance(self, floor: float) -> float:
        """How likely a ratio at the floor's edge would show one this far out, on either side (a p-value)."""
        beyond = abs(math.log(self.ratio)) - math.log1p(floor)
        if self.low is None or beyond <= 0:
            return 1.0
        return 2 * tail(beyond / self.error, self.freedom) if self.error else 0.0


def ratio(b: Sequence[float], a: Sequence[float]) -> Ratio:
    """b ÷ a of two independent sets of figures above zero, one figure a process (Welch's t on logarithms)."""
    logs = [[math.log(value) for value in side] for side in (b, a)]
    middle = statistics.fmean(logs[0]) - statistics.fmean(logs[1])
    if min(map(len, logs)) < 2:
        return Ratio(ratio=math.exp(middle))
    shares = [statistics.variance(side) / len(side) for side in logs]
    total = sum(shares)
    # Welch and Satterthwaite's degrees of freedom.
    free = sum(share**2 / (len(side) - 1) for share, side in zip(shares, logs, strict=True))
    return _interval(middle, math.sqrt(total), total**2 / free if free else 1.0)


def paired_ratio(b: Sequence[float], a: Sequence[float]) -> Ratio:
    """b ÷ a of figures measured side by side, in rounds: what a whole round suffers falls out."""
    logs = [math.log(y / x) for y, x in zip(b, a, strict=True)]
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return Ratio(ratio=math.exp(middle))
    return _interval(middle, statistics.stdev(logs) / math.sqrt(len(logs)), len(logs) - 1)


@dataclass(frozen=True)
class FastestRatio:
    """b ÷ a of two independent sets of processes' fastest laps; no interval (None) where processes are too few."""

    b: Sequence[float]
    a: Sequence[float]

    @property
    def ratio(self) -> float:
        """B's fastest ÷ A's fastest."""
        return max(self.b) / max(self.a)

    @property
    def low(self) -> float | None:
        """Where the 95 % interval begins."""
        return self._edge(self.b, self.a)

    @property
    def high(self) -> float | None:
        """Where it ends."""
        edge = self._edge(self.a, self.b)
        return None if edge is None else 1 / edge

    @staticmethod
    def _edge(one: Sequence[float], other: Sequence[float]) -> float | None:
        """The least that ``one`` can be of ``other``."""
        due = next((n for n in range(1, len(one) + 1) if _all_ahead(n, len(one), len(other)) <= MISS / 2), None)
        return None if due is None else sorted(one)[-due] / max(other)

    def chance(self, floor: float) -> float:
        """As of Ratio."""
        slow, fast = (self.b, self.a) if self.ratio < 1 else (self.a, self.b)
        ahead = sum(value > max(slow) * (1 + floor) for value in fast)
        return min(1.0, 2 * _all_ahead(ahead, len(fast), len(slow)))


def _all_ahead(count: int, one: int, other: int) -> float:
    """The chance that the ``count`` highest of ``one`` and ``other`` alike figures are all of the first kind."""
    return math.comb(one, count) / math.comb(one + other, count)


def judge(ratios: Sequence[Ratio | FastestRatio], floors: Sequence[float]) -> list[tuple[str, str]]:
    """A verdict and its reason for each ratio of one comparison. A floor of 0.02 is 2 %."""
    limit = _discoveries([found.chance(floor) for found, floor in zip(ratios, floors, strict=True)])
    return [_verdict(found, floor, limit, len(ratios)) for found, floor in zip(ratios, floors, strict=True)]


def _verdict(found: Ratio | FastestRatio, floor: float, limit: float, rows: int) -> tuple[str, str]:
    if found.low is None or found.high is None:
        return UNCLEAR, "a side has too few processes to tell how far they differ; --throughput SECONDS gives more"
    below, above = 1 / (1 + floor), 1 + floor
    if below <= found.low and found.high <= above:
        return SAME, f"the interval lies within {below:.3f} to {above:.3f}"
    if found.chance(floor) <= limit:
        slower = found.ratio < 1
        edge = f"below {below:.3f}" if slower else f"above {above:.3f}"
        return (SLOWER if slower else FASTER), f"the interval lies {edge}"
    if found.high < below or found.low > above:
        return UNCLEAR, f"the interval lies outside {below:.3f} to {above:.3f}, as one of {rows} may by chance"
    edges = " and ".join(f"{edge:.3f}" for edge in (below, above) if found.low < edge < found.high)
    return UNCLEAR, f"the interval reaches across {edges}; more processes (--throughput SECONDS) would narrow it"


def _discoveries(chances: Sequence[float]) -> float:
    """The largest chance that still counts, after Benjamini and Hochberg (1995); -1 where none does."""
    ordered = sorted(chances)
    return max((p for rank, p in enumerate(ordered, 1) if p <= MISS * rank / len(ordered)), default=-1.0)


def _interval(middle: float, error: float, freedom: float) -> Ratio:
    half = quantile(MISS / 2, freedom) * error
    return Ratio(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half),
        error=error,
        freedom=freedom,
    )


@dataclass(frozen=True, kw_only=True)
class Centre:
    """The median of a group and its spread: the median absolute deviation, scaled to a standard one."""

    median: float
    mad: float
    count: int

    def chance(self, value: float, outside: bool = False) -> float:
        """How likely a healthy member is as far from the median as this value; ``outside``: one that is not counted in.

        The spread of n members from their MAD is about as good as a standard deviation of 0.37 n
        (its efficiency on normal data), so the tail is that of a t distribution with so many degrees
        of freedom. It is never too thin from five members on, which a simulation confirms.
        """
        if self.mad == 0:
            return 1.0 if value == self.median else 0.0
        # The median of n has a variance of pi / 2n; a member's distance holds less of it than an outsider's.
        error = self.mad * math.sqrt(1 + math.pi / 2 / self.count * outside)
        return 2 * tail(abs(value - self.median) / error, max(1.0, 0.37 * (self.count - 1)))


def centre(values: Sequence[float]) -> Centre:
    """The robust centre of a group."""
    median = statistics.median(values)
    mad = 1.4826 * statistics.median(abs(value - median) for value in values)
    return Centre(median=median, mad=mad, count=len(values))


def tail(t: float, freedom: float) -> float:
    """The chance that Student's t with these degrees of freedom exceeds t >= 0."""
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2


def quantile(chance: float, freedom: float) -> float:
    """The t that is exceeded with this chance, which is under one half."""
    low, high = 0.0, 1.0
    while tail(high, freedom) > chance:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > chance else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x >= 1 or x <= 0:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction of the mirrored function converges sooner
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    value, up, down = 1.0, 1.0, 0.0  # Lentz's way of evaluating it from the top
    for n in range(1, 300):
        m = n // 2
        if n % 2:
            term = -x * (a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = x * m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m))
        down = 1 / (1 + term * down)
        up = 1 + term / up
        value *= up * down
        if abs(up * down - 1) < 1e-13:
            break
    return front / value
