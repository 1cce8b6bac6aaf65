"""How busy and how throttled a machine was while measuring."""

import pytest

from smoke.throughput import machine


def moment(ticks, at, own=0.0, online=2):
    """A machine.Moment with these counters."""
    found = machine.Moment(lambda: at)
    found.ticks, found.own, found.online = ticks, own, online
    return found


def test_others_are_all_that_was_busy_without_ourselves():
    before = moment([10, 0, 5, 100, 1, 0, 0, 0], 0.0, own=4.0)
    # 16 s of user time, 2 of the system's, 2 stolen, and idle ones, in 10 s; 15 of them were ours.
    after = moment([26, 0, 7, 103, 2, 0, 0, 2], 10.0, own=19.0)
    assert after.others(before) == 0.5
    assert moment([], 10.0).others(before) is None


def marks(**changes):
    quiet = {"online": 2, "cpus": 2.0, "load_start": 0.4, "others": 0.02, "throttled": 0}
    return machine.marks(**dict(quiet, **changes))


def test_a_quiet_machine_has_no_marks():
    assert marks() == []
    assert marks(others=None) == []
    # Many processors, of which this group may use two: others do not disturb until they are scarce.
    assert marks(online=64, others=40.0, load_start=41.0) == []


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"load_start": 3.2}, "busy: load 3.2 on 2 processors when it started"),
        ({"others": 0.5}, "busy: other programs took 0.50 of 2 processors while it measured"),
        ({"online": 64, "others": 63.0}, "busy: other programs took 63.00 of 64 processors while it measured"),
        ({"throttled": 3}, "throttled: the processor slowed down for heat 3 times while it measured"),
    ],
)
def test_a_busy_or_throttling_machine_is_marked(changes, mark):
    assert marks(**changes) == [mark]


@pytest.mark.parametrize(
    ("fastest", "mark"),
    [
        ([110.0, 109.0, 112.0, 108.0], []),
        ([], []),
        (
            [118.0, 105.0, 120.0],
            ["disturbed: steps took 18% longer than the fastest ones; something beside this run slows them down"],
        ),
    ],
)
def test_a_machine_whose_fastest_steps_are_seldom_is_marked(fastest, mark):
    rows = [{"fastest": [value] * 3, "images_per_second": {"median": 100.0}} for value in fastest]
    assert machine.disturbed([*rows, {"fastest": [], "images_per_second": None}]) == mark


def test_what_the_kernel_says_of_the_machine(tmp_path):
    files = {
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC 7B13\n",
        "proc/loadavg": "0.40 0.30 0.20 1/100 200\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    root, nothing = str(tmp_path), str(tmp_path / "nothing")
    assert (machine.processor(root), machine.governor(root), machine.load(root)) == (
        "AMD EPYC 7B13",
        "performance",
        0.4,
    )
    assert (machine.governor(nothing), machine.load(nothing)) == (None, 0.0)
    assert machine.processor(nothing)
    assert machine.cpus(root) >= 1
