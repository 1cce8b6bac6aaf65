"""Which rows come next, and what is put together from what the measuring processes tell. Nothing is measured here."""

import itertools
import signal

import pytest

from smoke import document, supervise, validate
from smoke.checks import throughput as check
from smoke.context import Context, SkipError
from smoke.throughput import collect, machine, process, rows, schedule

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


def told(*events, ended="done", log=(), seconds=10.0, returncode=0):
    """An Outcome of a measuring process."""
    outcome = supervise.Outcome()
    outcome.events, outcome.ended, outcome.log = list(events), ended, list(log)
    outcome.seconds, outcome.returncode = seconds, returncode
    return outcome


def measured(name, *samples, first=0.5, peak=1000):
    values = {"first_step_seconds": first, "peak_host_bytes": peak, "peak_device_bytes": None}
    return dict(values, event="measured", id=name, samples=list(samples), seconds=3.0)


HELLO = {"event": "hello", "device": "cpu", "seconds": 2.0}


def begin(name):
    return {"event": "begin", "id": name}


def collected(outcomes, named=(FIRST, SECOND), processes=2, budget=100.0):
    """What a Collector makes of processes that end like this, one after the other, the last again and again."""
    waiting, commands, now = list(outcomes), [], itertools.count(0.0, 5.0)

    def supervised(command, limit, environ, report):
        commands.append((command, limit, environ))
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    job = collect.Job("torch", 2, budget, processes, named)
    collector = collect.Collector(job, lambda line: None, 0.5, clock=lambda: next(now), supervised=supervised)
    found = collector.run()
    return found, commands


def by_id(found):
    return {row["id"]: row for row in found.document["rows"]}


def judged(found):
    context = Context("torch", {}, 2, None, None)
    context.throughput = found
    return check.run(context)


def assembled(found, schema):
    """The whole document is sound, whatever happened."""
    done = told()
    whole = document.assemble("torch", {}, 2, 300.0, done, measured=found, only="throughput")
    assert validate.problems(whole, schema) == []
    return whole, document.exit_code(whole, done, found)


def test_a_measuring_that_goes_well(schema):
    outcomes = [
        told(HELLO, measured(SECOND, 200.0, 202.0), measured(FIRST, 100.0, 102.0, first=0.9, peak=1500)),
        told(HELLO, measured(FIRST, 98.0, 99.0, first=0.1, peak=1200), measured(SECOND, 201.0, 201.0)),
    ]
    found, commands = collected(outcomes)
    row = by_id(found)[FIRST]
    assert (row["outcome"], row["samples"]) == ("measured", [[100.0, 102.0], [98.0, 99.0]])
    assert row["images_per_second"]["median"] == pytest.approx((101 + 98.5) / 2)
    # The first process's, whose caches were cold; the lowest peak.
    assert (row["first_step_seconds"], row["peak_host_bytes"]) == (0.9, 1200)
    assert (row["best"], row["roof_share"], row["stopped"]) == (True, None, "")
    assert by_id(found)[SECOND]["stopped"] == "narrow"
    assert judged(found).outcome == "passed"
    whole, code = assembled(found, schema)
    assert (code, [entry["id"] for entry in whole["checks"]]) == (0, ["throughput"])
    command, limit, environ = commands[0]
    assert command[1:3] == ["-m", "smoke.throughput.process"]
    assert "--roof" not in command
    assert limit == 95.0 + collect.GRACE
    assert environ["OMP_NUM_THREADS"] == "2"


def test_the_roof_and_the_best_mode(schema):
    figure = {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32"}
    other = FIRST.replace("eager", "channels_last")
    outcome = told(
        *(HELLO, measured(FIRST, 100.0, 100.0), measured(other, 120.0, 120.0)),
        *({"event": "roof", "figure": figure, "samples": [1e11]}, {"event": "roof_done", "seconds": 3.0}),
        {"event": "skipped", "id": FIRST.replace("eager", "compiled"), "reason": "torch.compile needs a compiler"},
    )
    found, commands = collected([outcome], named=(), processes=1, budget=1.0)
    assert "--roof" in commands[0][0]
    assert by_id(found)[FIRST]["roof_share"] == round(100 * 15396864 / 1e11, 4)
    assert [by_id(found)[name]["best"] for name in (FIRST, other)] == [False, True]
    assert found.document["roof"][0]["value"]["median"] == 1e11
    assert not [mark for mark in found.document["machine"]["marks"] if "roof" in mark]
    skipped = by_id(found)[FIRST.replace("eager", "compiled")]
    assert (skipped["outcome"], skipped["reason"]) == ("skipped", "torch.compile needs a compiler")
    late = by_id(found)["resnet18/train/eager/1/fp32/device"]
    assert late["reason"] == "the budget of 1 s went to rows that come first; --throughput SECONDS gives more"
    assert judged(found).outcome == "passed"
    assembled(found, schema)


def test_a_row_above_the_roof_is_marked():
    figure = {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32"}
    outcome = told(HELLO, measured(FIRST, 100.0, 100.0), {"event": "roof", "figure": figure, "samples": [1e9]})
    found, _ = collected([outcome], named=(), processes=1, budget=1.0)
    assert [mark for mark in found.document["machine"]["marks"] if "faster than the roof" in mark]


def test_a_gpu_brings_the_rows_that_only_it_has():
    outcome = told(dict(HELLO, device="cuda"), measured(FIRST, 100.0, 100.0))
    found, _ = collected([outcome], named=(), processes=1, budget=1.0)
    assert {row["device"] for row in found.document["rows"]} == {"cuda"}
    assert "amp" in {row["precision"] for row in found.document["rows"]}


@pytest.mark.parametrize(
    ("ended", "returncode", "words", "code"),
    [
        ("hang", -9, "did not finish within", 13),
        ("killed", -int(signal.SIGSEGV), "killed by SIGSEGV", 14),
        ("exited", 1, "ended with exit code 1 before it was through; last line of its log: ValueError: bad", 1),
    ],
)
def test_a_process_that_goes_wrong_names_its_row_and_the_others_go_on(ended, returncode, words, code, schema):
    bad = told(HELLO, begin(SECOND), ended=ended, returncode=returncode, log=["ValueError: bad"])
    good = told(HELLO, begin(FIRST), measured(FIRST, 100.0, 101.0))
    found, commands = collected([bad, good, good])
    assert [name for name, _ in found.errors] == [SECOND]
    assert SECOND not in " ".join(commands[1][0])
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assert by_id(found)[SECOND]["outcome"] == "skipped"
    assert words in by_id(found)[SECOND]["reason"]
    verdict = judged(found)
    assert verdict.outcome == "error"
    assert verdict.reason.startswith(SECOND + ": ")
    whole, ended_with = assembled(found, schema)
    assert ended_with == code
    assert whole["log"]["tail"] == ["ValueError: bad"]


def test_a_framework_that_does_not_start_is_tried_once(schema):
    found, commands = collected([told(ended="exited", returncode=1, log=["ImportError: no"])])
    assert len(commands) == 1
    assert judged(found).reason.startswith("the measuring process: ended with exit code 1")
    assembled(found, schema)


def test_a_process_that_dies_between_two_rows_takes_none_with_it(schema):
    found, commands = collected([told(HELLO, begin(FIRST), measured(FIRST, 1.0, 1.0), ended="killed", returncode=-9)])
    assert len(commands) == 1
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assert judged(found).reason.startswith("the measuring process: killed by SIGKILL")
    assembled(found, schema)


def test_an_error_in_the_roof_is_named_and_rows_go_on(schema):
    bad = told(HELLO, measured(FIRST, 1.0, 1.0), begin("roof/copy"), ended="exited", returncode=1)
    good = told(HELLO, measured(FIRST, 1.0, 1.0))
    found, commands = collected([bad, good], named=(), processes=2, budget=40.0)
    assert found.errors[0][0] == "roof/copy"
    assert "--roof" not in commands[1][0]
    assert by_id(found)[FIRST]["outcome"] == "measured"
    assembled(found, schema)


def test_nothing_measured_is_a_skip_with_its_reason():
    with pytest.raises(SkipError, match="--throughput 0"):
        judged("not asked for: --throughput 0")


class InvalidCxxCompilerError(Exception):
    """As torch._inductor words it."""

    def __str__(self):
        return "No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')\nsee the notes"


class OutOfMemoryError(RuntimeError):
    """As torch.cuda names it."""


@pytest.mark.parametrize(
    ("problem", "mode", "reason"),
    [
        (SkipError("came with 2.0"), "compiled", "came with 2.0"),
        (InvalidCxxCompilerError(), "compiled", "torch.compile needs a C++ compiler, which is not here: InvalidCxxC"),
        (RuntimeError("Dynamo is not supported"), "compiled", "torch.compile does not work here: RuntimeError: Dynamo"),
        (ValueError("\n\nXLA\nlong"), "jit", "jit_compile does not work here: ValueError: XLA"),
        (OutOfMemoryError("CUDA out of memory"), "eager", "batch 128 does not fit in the memory that is there: OutOfM"),
        (ValueError("a defect"), "eager", None),
        (process.WrongNetworkError("cnn has 1 parameters instead of 225034"), "compiled", None),
    ],
)
def test_why_a_row_cannot_be_measured(problem, mode, reason):
    framework = "tf2" if mode == "jit" else "torch"
    found = process.refusal(problem, rows.parse(f"cnn/train/{mode}/128/fp32/device", framework))
    assert found == reason if reason is None else found.startswith(reason)


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
