"""Intervals that hold what they promise, and verdicts that are seldom wrong: measured on seeded synthetic processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from random import Random

import numpy
import pytest

from dlmatrix.comparison.intervals import (
    FASTER,
    SAME,
    SLOWER,
    UNCLEAR,
    FastestRatio,
    Ratio,
    centre,
    judge,
    paired_ratio,
    quantile,
    ratio,
    tail,
)
from tests.unit.reports import seeded

FLOOR = 0.02
#: One process's figure, relative to the truth, where processes differ by ``spread``.
Noise = Callable[[Random, float], float]
NOISES: dict[str, Noise] = {
    "normal": lambda r, spread: r.gauss(0, spread),
    # Most processes are undisturbed, some much slower.
    "skewed": lambda r, spread: spread * (1 - r.expovariate(1)),
    # Student's t with 3 degrees of freedom.
    "heavy-tailed": lambda r, spread: spread * r.gauss(0, 1) / math.sqrt(r.gammavariate(1.5, 2 / 3)) / math.sqrt(3),
}


def processes(noise: str, r: Random, spread: float, truth: float = 1.0, count: int = 5) -> list[float]:
    return [1000 * truth * math.exp(NOISES[noise](r, spread)) for _ in range(count)]


def verdicts(noise: str, spread: float, truth: float, trials: int, seed: int = 8) -> Counter[str]:
    """What comparisons of one row say, five processes a side, where B ÷ A is in truth ``truth``."""
    r = seeded(f"{noise} {spread} {truth} {seed}")
    found: Counter[str] = Counter()
    for _ in range(trials):
        one = ratio(processes(noise, r, spread, truth), processes(noise, r, spread))
        found[judge([one], [FLOOR])[0][0]] += 1
    return found


@pytest.mark.parametrize(
    ("chance", "freedom", "t"),
    [
        (0.025, 1, 12.7062),
        (0.025, 2, 4.30265),
        (0.025, 4, 2.77645),
        (0.025, 8, 2.30600),
        (0.005, 10, 3.16927),
        (0.025, 1e6, 1.95996),
    ],
)
def test_student_s_t_is_that_of_the_tables(chance: float, freedom: float, t: float) -> None:
    assert quantile(chance, freedom) == pytest.approx(t, rel=1e-4)
    assert tail(t, freedom) == pytest.approx(chance, rel=1e-3)
    assert tail(0, freedom) == pytest.approx(0.5)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize(("spread", "least"), [(0.02, 0.935), (0.04, 0.91)])
def test_the_interval_holds_the_truth_in_95_of_100_cases(noise: str, count: int, spread: float, least: float) -> None:
    """Where one side varies twice as much, and is skewed, it is a little less."""
    r = seeded(f"{noise} {count}")
    held, trials = 0, 800
    for _ in range(trials):
        found = ratio(processes(noise, r, spread, 0.9, count), processes(noise, r, 0.02, 1.0, count))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.9 <= found.high
    assert held / trials > least


def test_why_the_ratio_of_means_is_not_bootstrapped() -> None:
    generator, held, trials = numpy.random.default_rng(8), 0, 500
    for _ in range(trials):
        a, b = generator.normal(0, 0.03, (2, 5))
        resampled = [side[generator.integers(0, 5, (500, 5))].mean(1) for side in (a, b)]
        low, high = numpy.quantile(resampled[1] - resampled[0], [0.025, 0.975])
        held += low <= 0 <= high
    assert held / trials < 0.9


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("spread", [0.005, 0.02, 0.04, 0.08])
def test_a_against_a_calls_at_most_1_in_50_anything(noise: str, spread: float) -> None:
    found = verdicts(noise, spread, 1.0, trials=600)
    assert (found[FASTER] + found[SLOWER]) / 600 <= 0.02


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("spread", [0.005, 0.01, 0.02])
def test_a_slowdown_of_10_percent_is_called_in_18_of_20(noise: str, spread: float) -> None:
    assert verdicts(noise, spread, 1 / 1.1, trials=300)[SLOWER] / 300 >= 0.95


def test_a_slowdown_of_10_percent_is_mostly_called_where_processes_differ_by_3_percent() -> None:
    found = verdicts("normal", 0.03, 1 / 1.1, trials=600)
    assert found[SLOWER] / 600 >= 0.9
    assert found[FASTER] == found[SAME] == 0


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("spread", [0.003, 0.01, 0.02, 0.05])
def test_a_slowdown_of_3_percent_is_not_called_the_same(noise: str, spread: float) -> None:
    found = verdicts(noise, spread, 1 / 1.03, trials=600)
    assert found[SAME] / 600 <= 0.005
    assert found[FASTER] == 0


def test_what_hardly_varies_and_did_not_change_is_called_the_same() -> None:
    assert verdicts("normal", 0.004, 1.0, trials=300)[SAME] / 300 >= 0.95
    # Half the floor is a change too, which more of the same does not turn into a difference.
    assert verdicts("normal", 0.002, 0.99, trials=300)[SAME] / 300 >= 0.95


#: Fastest laps: neighbours slow most processes down, and each of them by something else, at times by a third.
DISTURBED: Noise = lambda r, spread: -min(r.expovariate(1 / spread), 0.3)  # noqa: E731
RANKED: dict[str, Noise] = {**NOISES, "disturbed": DISTURBED}


def laps(noise: str, r: Random, spread: float, truth: float = 1.0, count: int = 7) -> list[float]:
    return [1000 * truth * math.exp(RANKED[noise](r, spread)) for _ in range(count)]


def ranked(noise: str, spread: float, truth: float, trials: int = 600, count: int = 7) -> Counter[str]:
    """What comparisons of one row's fastest laps say."""
    r = seeded(f"ranked {noise} {spread} {truth} {count}")
    pairs = [(laps(noise, r, spread, truth, count), laps(noise, r, spread, 1.0, count)) for _ in range(trials)]
    return Counter(judge([FastestRatio(b, a)], [FLOOR])[0][0] for b, a in pairs)


@pytest.mark.parametrize("noise", RANKED)
@pytest.mark.parametrize("counts", [(4, 4), (5, 5), (7, 7), (10, 10), (3, 10)])
def test_the_interval_of_the_fastest_holds_the_truth_whatever_the_noise(noise: str, counts: tuple[int, int]) -> None:
    r, held, trials = seeded(f"{noise} {counts}"), 0, 800
    for _ in range(trials):
        found = FastestRatio(laps(noise, r, 0.05, 0.9, counts[0]), laps(noise, r, 0.05, 1.0, counts[1]))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.9 <= found.high
    assert held / trials > 0.935


def test_the_interval_of_the_fastest_by_hand() -> None:
    found = FastestRatio([100.0, 99.0, 98.0, 97.0, 50.0], [110.0, 109.0, 108.0, 107.0, 60.0])
    assert (found.ratio, found.low, found.high) == (100 / 110, 97 / 110, pytest.approx(100 / 107))
    # Four of ten figures are ahead of all of the other side's: 5 of 10 over 4, times 2 for the sides.
    assert found.chance(FLOOR) == pytest.approx(2 * 5 / 210)
    assert found.chance(0.08) == pytest.approx(2 * 10 / 45)
    assert found.chance(0.2) == 1.0


@pytest.mark.parametrize("noise", RANKED)
@pytest.mark.parametrize("spread", [0.005, 0.02, 0.05, 0.1])
def test_a_against_a_calls_nothing_by_its_fastest(noise: str, spread: float) -> None:
    found = ranked(noise, spread, 1.0)
    assert (found[FASTER] + found[SLOWER]) / 600 <= 0.03


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.05])
def test_a_disturbed_machine_shows_a_slowdown_of_10_percent(spread: float) -> None:
    assert ranked("disturbed", spread, 1 / 1.1, count=10)[SLOWER] / 600 >= 0.9
    # Where processes differ by 5 %, their means do not.
    r = seeded(8)
    means = [ratio(laps("disturbed", r, 0.05, 1 / 1.1, 10), laps("disturbed", r, 0.05, count=10)) for _ in range(200)]
    assert Counter(word for word, _ in (judge([found], [FLOOR])[0] for found in means))[SLOWER] / 200 < 0.9


@pytest.mark.parametrize("noise", RANKED)
@pytest.mark.parametrize("spread", [0.003, 0.01, 0.02, 0.05])
def test_a_slowdown_of_3_percent_is_not_called_the_same_by_its_fastest(noise: str, spread: float) -> None:
    found = ranked(noise, spread, 1 / 1.03)
    assert found[SAME] / 600 <= 0.005
    assert found[FASTER] / 600 <= 0.005


def test_one_row_of_many_is_found_by_its_fastest() -> None:
    r = seeded(8)
    still = [FastestRatio(laps("normal", r, 0.01), laps("normal", r, 0.01)) for _ in range(39)]
    slow = FastestRatio(laps("normal", r, 0.01, 0.85), laps("normal", r, 0.01))
    verdict = [word for word, _ in judge([*still, slow], [FLOOR] * 40)]
    assert (verdict.count(SLOWER), verdict[-1]) == (1, SLOWER)


def test_too_few_processes_for_their_fastest() -> None:
    found = FastestRatio([900.0] * 3, [1000.0] * 3)
    assert (found.low, found.high) == (None, None)
    verdict, reason = judge([found], [FLOOR])[0]
    assert (verdict, reason.split(";")[0]) == (UNCLEAR, "a side has too few processes to tell how far they differ")


@pytest.mark.parametrize("truth", [1.0, 1 / 1.1])
def test_drift_that_both_sides_share_does_no_harm_where_they_take_turns(truth: float) -> None:
    """The machine gets slower and faster by a random walk of 2 % a process; A and B take turns."""
    r, calls, paired, trials = seeded(8), Counter[str](), 0, 500
    for _ in range(trials):
        level, a, b = 0.0, [], []
        for number in range(5):
            for side in ("ab", "ba")[number % 2]:
                level += r.gauss(0, 0.02)
                figure = 1000 * math.exp(level + r.gauss(0, 0.01))
                (a if side == "a" else b).append(figure * (truth if side == "b" else 1))
        found = paired_ratio(b, a)
        assert found.low is not None
        assert found.high is not None
        paired += found.low <= truth <= found.high
        calls[judge([ratio(b, a)], [FLOOR])[0][0]] += 1
    assert paired / trials > 0.93
    if truth == 1.0:
        assert (calls[FASTER] + calls[SLOWER]) / trials <= 0.05


def test_many_rows_do_not_add_up_to_a_false_alarm() -> None:
    r, alarms = seeded(8), 0
    for _ in range(60):
        rows = [ratio(processes("normal", r, 0.08), processes("normal", r, 0.08)) for _ in range(40)]
        alarms += any(verdict in (FASTER, SLOWER) for verdict, _ in judge(rows, [FLOOR] * 40))
    assert alarms <= 3


def test_one_row_of_many_and_all_of_many_are_found() -> None:
    r = seeded(8)
    still = [ratio(processes("normal", r, 0.01), processes("normal", r, 0.01)) for _ in range(39)]
    slow = [ratio(processes("normal", r, 0.01, 0.9), processes("normal", r, 0.01)) for _ in range(40)]
    verdict = [word for word, _ in judge([*still, slow[0]], [FLOOR] * 40)]
    assert verdict.count(SLOWER) == 1
    assert verdict[-1] == SLOWER
    assert [word for word, _ in judge(slow, [FLOOR] * 40)] == [SLOWER] * 40


@pytest.mark.parametrize(
    ("low", "high", "verdict", "reason"),
    [
        (0.99, 1.01, SAME, "lies within 0.980 to 1.020"),
        (0.90, 0.97, SLOWER, "lies below 0.980"),
        (1.03, 1.20, FASTER, "lies above 1.020"),
        (0.97, 0.99, UNCLEAR, "reaches across 0.980;"),
        (0.90, 1.10, UNCLEAR, "reaches across 0.980 and 1.020;"),
        (1.01, 1.03, UNCLEAR, "reaches across 1.020;"),
    ],
)
def test_the_rule(low: float, high: float, verdict: str, reason: str) -> None:
    middle, half = math.sqrt(low * high), math.log(high / low) / 2
    found = Ratio(ratio=middle, low=low, high=high, error=half / quantile(0.025, 8), freedom=8)
    assert judge([found], [FLOOR]) == [(verdict, judge([found], [FLOOR])[0][1])]
    assert reason in judge([found], [FLOOR])[0][1]


def test_a_row_that_goes_far_by_chance_among_many_is_unclear_and_says_so() -> None:
    edge = Ratio(ratio=0.9, low=0.84, high=0.96, error=0.0289, freedom=8)
    same = Ratio(ratio=1.0, low=0.99, high=1.01, error=0.004, freedom=8)
    assert judge([edge], [FLOOR])[0][0] == SLOWER
    verdict, reason = judge([edge] + [same] * 19, [FLOOR] * 20)[0]
    assert (verdict, reason) == (UNCLEAR, "the interval lies outside 0.980 to 1.020, as one of 20 may by chance")


def test_few_processes() -> None:
    assert ratio([900.0], [1000.0, 1001.0]) == Ratio(ratio=pytest.approx(0.8996, abs=1e-4))
    assert judge([ratio([900.0], [1000.0])], [FLOOR])[0][0] == UNCLEAR
    assert paired_ratio([900.0], [1000.0]).low is None
    # Figures that do not vary at all are as good as their difference.
    assert judge([ratio([900.0] * 2, [1000.0] * 2), ratio([5.0] * 2, [5.0] * 2)], [FLOOR] * 2) == [
        (SLOWER, "the interval lies below 0.980"),
        (SAME, "the interval lies within 0.980 to 1.020"),
    ]
    assert judge([], []) == []


def test_the_same_figures_give_the_same_interval() -> None:
    assert ratio([1.0, 1.1, 1.2], [2.0, 2.2, 2.1]) == ratio([1.0, 1.1, 1.2], [2.0, 2.2, 2.1])


@pytest.mark.parametrize("count", [5, 8, 12, 30])
@pytest.mark.parametrize("outside", [False, True])
def test_a_healthy_member_is_not_far_from_the_centre_more_often_than_stated(count: int, outside: bool) -> None:
    r, stated, far, looked = seeded(8), 0.01, 0, 0
    for _ in range(12000 // count):
        group = [r.gauss(0, 1) for _ in range(count)]
        middle = centre(group)
        members = [r.gauss(0, 1) for _ in range(count)] if outside else group
        far += sum(middle.chance(value, outside) <= stated for value in members)
        looked += count
    assert far / looked <= 1.25 * stated


def test_a_group_of_equals() -> None:
    found = centre([3.0] * 5)
    assert (found.median, found.mad, found.chance(3.0), found.chance(3.1)) == (3.0, 0.0, 1.0, 0.0)
