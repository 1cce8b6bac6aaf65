"""Which rows come next, and for how long. Nothing is measured here."""

import itertools

from smoke.throughput import rows, schedule

FIRST, SECOND = "cnn/train/eager/128/fp32/device", "cnn/infer/eager/128/fp32/device"


STEADY = itertools.repeat((100.0, 100.0))


def planned(*names):
    return [rows.parse(name, "torch") for name in names]


def ran(plan, chosen, seconds=4.0, samples=(100.0, 100.0)):
    """Every chosen row was measured."""
    for row in chosen:
        plan.tallies[row.id].samples.append(list(samples))
        plan.tallies[row.id].seconds = seconds


def played(plan, budget, seconds=4.0, start=2.0, samples=STEADY):
    """The ids that each process was given until nothing fitted, and the seconds that were left."""
    left, given = budget, []
    plan.start_seconds = start
    while True:
        following = plan.next(left)
        if following is None:
            return given, left
        chosen, with_roof = following
        plan.roofs += with_roof
        ran(plan, chosen, seconds, next(samples))
        given.append([row.id for row in chosen])
        left -= start + seconds * len(chosen) + (plan.roof_seconds if with_roof else 0.0)


def test_batch_128_of_every_mode_has_all_its_processes_before_anything_else_begins():
    plan = schedule.Schedule(rows.planned("torch", "cpu"), 5, True)
    given, left = played(plan, 190.0)
    first = {row.id for row in plan.tallies.values() for row in [row.row] if row.tier == 0}
    assert [set(ids) for ids in given[:5]] == [first] * 5
    assert all(not set(ids) & first for ids in given[5:])
    assert all(len(plan.tallies[name].samples) == 5 for name in first)
    assert left >= 0
    # What was begun is known as well as the first: nothing is left half done.
    assert {len(tally.samples) for tally in plan.tallies.values()} <= {0, 5}
    assert plan.roofs == schedule.ROOF_PROCESSES


def test_the_order_within_a_process_turns():
    plan = schedule.Schedule(planned(FIRST, SECOND), 2, False)
    assert [ids[0] for ids in played(plan, 100.0)[0]] == [FIRST, SECOND]


def test_one_process_always_runs_and_no_other_where_the_budget_is_spent():
    plan = schedule.Schedule(planned(FIRST, SECOND), 5, False)
    given, _ = played(plan, 0.0)
    assert len(given) == 1


def test_a_slow_machine_ends_near_its_budget_with_fewer_processes():
    plan = schedule.Schedule(planned(FIRST, SECOND), 5, False)
    given, left = played(plan, 60.0, seconds=8.0)
    assert (len(given), left) == (3, 6.0)


def test_named_rows_get_their_processes_and_no_more():
    plan = schedule.Schedule(planned(FIRST), 1, False)
    assert played(plan, 1000.0)[0] == [[FIRST]]


def test_what_is_left_of_the_budget_goes_to_wide_rows_until_they_are_narrow():
    plan = schedule.Schedule(planned(FIRST, SECOND), 2, True)
    wide = itertools.chain([(100.0, 100.0), (110.0, 110.0)], itertools.repeat((105.0, 105.0)))
    given, left = played(plan, 1000.0, samples=wide)
    assert len(given) > 2
    assert left > 0
    assert all(tally.narrow() for tally in plan.tallies.values())


def test_a_large_network_is_not_begun_where_it_cannot_be_finished():
    plan = schedule.Schedule(rows.planned("torch", "cpu"), 5, True)
    heavy = plan.tallies["resnet18/train/eager/32/fp32/device"]
    assert plan.cost(heavy) > 5 * 32 * 1e10 / schedule.SLOW_FLOPS
    played(plan, 300.0)
    assert heavy.samples == []
    # Where the roof says that the machine is fast, it is cheap.
    plan.flops = 1e12
    assert plan.cost(heavy) == schedule.ROW_SECONDS


def test_compiling_is_expected_to_take_long_once():
    names = (FIRST.replace("eager", "compiled"), "resnet18/train/compiled/1/fp32/device")
    small, large = (schedule.Tally(row) for row in planned(*names))
    assert large.compiling() > 4 * small.compiling() > 0
    small.samples.append([1.0, 1.0])
    assert small.compiling() == 0
    plan = schedule.Schedule(planned(FIRST, names[0]), 5, True)
    assert plan.expected(planned(FIRST, names[0]), True) == schedule.START_SECONDS + 3 * schedule.ROW_SECONDS + 40.0


def test_named_rows_of_any_kind_share_the_first_process():
    plan = schedule.Schedule(planned(FIRST, "cnn/train/eager/1/fp32/host"), 1, False)
    assert len(played(plan, 50.0)[0]) == 1


def test_what_was_refused_is_not_asked_again():
    plan = schedule.Schedule(planned(FIRST, SECOND), 3, False)
    plan.tallies[SECOND].reason = "no compiler"
    assert played(plan, 100.0)[0] == [[FIRST]] * 3
