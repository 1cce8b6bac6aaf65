"""How a GPU's processes share its rows, played with a simulated clock on cards of every speed. Nothing is measured.

Rates are those of an H100 (torch 2.11, 27 November 2026), scaled to other cards; a process takes 6 s to its first
result and torch.compile 19 s, as they did there. That processes differ by 0.3 % and windows by 0.2 % is assumed.
"""

import random

import pytest

from smoke import supervise
from smoke.throughput import cards, collect, process, rows, sharing, windows

#: TFLOP/s of a float32 product on the card whose rates these are.
H100 = 51.7
CARD = {"memory": 80 << 30, "capability": [9, 0]}
#: images/s by model, kind and precision, then by mode where that matters.
RATES = {
    ("resnet18", "train", "fp32"): 2616,
    ("resnet18", "train", "tf32"): 4594,
    ("resnet18", "train", "amp"): 6240,
    ("resnet18", "train", "bf16"): 5128,
    ("resnet18", "infer", "fp32"): 8000,
    ("cnn", "train", "fp32"): 65604,
    ("resnet18", "train", "amp", "channels_last"): 12151,
    ("resnet18", "train", "bf16", "channels_last"): 12157,
    ("resnet18", "train", "amp", "compiled_channels_last"): 11683,
    ("resnet18", "infer", "amp", "channels_last"): 37595,
    ("cnn", "train", "fp32", "cuda_graph"): 224555,
}
START, BUILD, COMPILE, AGAIN = 6.0, 0.7, 19.0, 5.0


class Card:
    """A machine with a GPU: a clock, and processes that take their time by it."""

    def __init__(self, tflops, card=None, seed=1):
        self.now = 0.0
        self.scale = tflops / H100
        self.card = card or CARD
        self.random = random.Random(seed)  # noqa: S311 - figures, not secrets
        self.compiled = set()
        self.processes = []

    def clock(self):
        return self.now

    def rate(self, row):
        key = (row.model, row.kind, row.precision)
        likely = (RATES.get(one) for one in ((*key, row.mode), key, (*key[:2], "fp32"), (row.model, "train", "fp32")))
        return next(filter(None, likely)) * self.scale * min(1.0, (row.batch / 128) ** 0.5)

    def supervised(self, command, limit, environ, report):
        """What the process would do and tell, by the code that it runs."""
        options = process.options_of([*command[3:], "7"])
        began, outcome = self.now, supervise.Outcome()
        self.now += START
        measuring = Measuring(self, outcome.events, options.framework)
        process.measure(options, measuring, lambda: self.now - began)
        outcome.events.append({"event": "done"})
        outcome.ended, outcome.seconds = "done", self.now - began + 0.3
        self.now = began + outcome.seconds
        assert outcome.seconds <= limit
        self.processes.append(outcome)
        return outcome


class Measuring:
    """In place of process.Measuring."""

    device = "cuda"

    def __init__(self, machine, events, framework):
        self.machine = machine
        self.card = machine.card
        self.events = events
        self.luck = machine.random.gauss(1.0, 0.003)
        events.append({"event": "hello", "device": "cuda", "card": self.card, "seconds": START - 1})

    def row(self, row):
        machine, started = self.machine, self.machine.now
        assert not cards.refused(row.precision, self.card["capability"])
        seconds = BUILD
        if row.mode in ("jit", "compiled", "compiled_channels_last"):
            seconds += AGAIN if row.id in machine.compiled else COMPILE
            machine.compiled.add(row.id)
        machine.now += seconds

        def repeat(count):
            machine.now += count * row.batch / (machine.rate(row) * self.luck * machine.random.gauss(1.0, 0.002))

        found = windows.measure(repeat, clock=machine.clock, **windows.how("cuda"))
        samples = [rate * row.batch for rate in found.windows]
        event = {"event": "measured", "id": row.id, "samples": samples, "fastest": found.fastest * row.batch}
        event.update(first_step_seconds=seconds + found.first, peak_host_bytes=1, peak_device_bytes=1)
        self.events += [{"event": "begin", "id": row.id}, dict(event, seconds=machine.now - started)]
        return samples[0]

    def roof(self):
        started = self.machine.now
        for detail, flops in (("float32", 51.7e12), ("tf32", 400e12), ("float16", 700e12), ("bfloat16", 700e12)):
            if not (detail in ("tf32", "bfloat16") and self.card["capability"] < [8, 0]):
                steps = max(3.0, 1.0 * flops * self.machine.scale / 1.1e12)
                self.machine.now += 0.2 + steps * 1.1e12 / (flops * self.machine.scale)
                figure = {"name": "matmul", "unit": "FLOP/s", "detail": "8192x8192 " + detail}
                self.events.append({"event": "roof", "figure": figure, "samples": [flops * self.machine.scale]})
        self.machine.now += 4.0
        self.events.append({"event": "roof_done", "seconds": self.machine.now - started})


def played(tflops, framework="torch", budget=120.0, card=None, processes=10):
    """(the rows of the document by id, the machine) of a whole measuring on a card of so many TFLOP/s."""
    machine = Card(tflops, card)
    job = collect.Job(framework, 4, budget, processes)
    collector = collect.Collector(job, lambda line: None, 0.1, clock=machine.clock, supervised=machine.supervised)
    found = collector.run()
    assert found.errors == []
    assert found.document["processes"] == min(processes, 3)
    return {row["id"]: row for row in found.document["rows"]}, machine


def headline(framework):
    return [row.id for row in rows.planned(framework, "cuda") if row.tier == rows.HEADLINE]


def wanted(found, framework):
    full = cards.full_batch(CARD["memory"])
    names = [row.id for row in rows.planned(framework, "cuda", full) if row.tier <= rows.WANTED]
    return [name for name in names if found[name]["outcome"] == "measured"]


def processes_of(found, names):
    return [len(found[name]["samples"]) for name in names]


def test_an_h100_has_all_twelve_rows_in_the_default_budget_and_three_processes_for_the_headline():
    found, machine = played(50.0)
    assert len(wanted(found, "torch")) == 12
    assert processes_of(found, headline("torch")) == [3, 3, 3, 3]
    assert machine.now <= 120.0
    assert len(machine.processes) == 3
    for row in found.values():
        if row["model"] == "resnet18" and row["outcome"] == "measured":
            rate = row["images_per_second"]
            assert rate["high"] - rate["low"] <= 0.02 * rate["median"], row["id"]
    # What is best has more than one process too.
    assert len(found["resnet18/train/channels_last/128/bf16/device"]["samples"]) == 3


@pytest.mark.once
@pytest.mark.parametrize("tflops", [3.0, 5.0, 20.0, 700.0])
def test_a_card_of_any_speed_has_three_processes_for_the_headline_rows(tflops):
    found, machine = played(tflops)
    assert processes_of(found, headline("torch")) == [3, 3, 3, 3]
    assert machine.now <= 125.0
    assert all(found[name]["roof_share"] > 0.0 for name in headline("torch"))


@pytest.mark.once
@pytest.mark.parametrize("framework", ["tf2", "tf1"])
@pytest.mark.parametrize("tflops", [5.0, 50.0])
def test_tensorflow_measures_tf32_in_processes_of_its_own(framework, tflops):
    found, machine = played(tflops, framework)
    assert processes_of(found, headline(framework)) == [3, 3, 3, 3]
    assert machine.now <= 125.0
    for outcome in machine.processes:
        kinds = {"tf32" in event["id"] for event in outcome.events if event["event"] == "measured"}
        assert len(kinds) == 1
    if tflops > 20:
        assert len(wanted(found, framework)) >= {"tf2": 9, "tf1": 8}[framework]


def test_the_slowest_card_gets_one_process_with_what_fits():
    found, machine = played(0.2)
    assert len(machine.processes) == 1
    assert found["resnet18/train/eager/128/fp32/device"]["outcome"] == "measured"


@pytest.mark.once
def test_an_old_card_is_refused_by_name_what_it_cannot_do():
    found, _ = played(8.0, card={"memory": 16 << 30, "capability": [7, 5]})
    refused = {name for name, row in found.items() if "compute capability" in row["reason"]}
    assert refused == {name for name, row in found.items() if row["precision"] in ("tf32", "bf16")}
    reason = found["resnet18/train/eager/128/bf16/device"]["reason"]
    assert reason == "bfloat16 needs compute capability 8.0, and this card has 7.5"
    assert processes_of(found, [name for name in headline("torch") if name not in refused]) == [3, 3]
    assert "resnet18/train/channels_last/512/amp/device" in found


@pytest.mark.once
def test_more_time_goes_down_the_list_and_less_keeps_to_its_head():
    much, _ = played(50.0, budget=400.0)
    assert len([row for row in much.values() if row["outcome"] == "measured"]) > 30
    little, machine = played(50.0, budget=45.0)
    assert min(processes_of(little, headline("torch"))) >= 2
    assert machine.now <= 50.0
    one, machine = played(50.0, processes=1)
    assert (len(machine.processes), processes_of(one, headline("torch"))) == (1, [1, 1, 1, 1])


@pytest.mark.once
def test_another_headline_row_goes_first_in_each_process():
    _, machine = played(50.0)
    first = [next(event["id"] for event in p.events if event["event"] == "measured") for p in machine.processes]
    assert len(set(first)) == 3
    assert set(first) <= set(headline("torch"))


def test_what_was_refused_in_the_first_process_is_not_asked_again():
    plan = sharing.Shared("torch", rows.planned("torch", "cuda"), CARD, processes=3, number=1)
    name = "resnet18/train/eager/128/amp/device"
    plan.tallies[name].reason = "no memory"
    chosen, with_roof = plan.next(100.0)
    assert name not in {row.id for row in chosen}
    assert with_roof


def test_costs_are_taken_from_the_row_most_like_it():
    names = ("train/eager/128/amp", "train/eager/128/tf32", "train/channels_last/2048/amp", "infer/eager/128/amp")
    amp, tf32, large, infer = (rows.parse(f"resnet18/{name}/device", "torch") for name in names)
    costs = sharing.Costs()
    assert costs.of(large) == sharing.ROW_SECONDS
    costs.told(tf32, 100.0, 3.0)
    slow = costs.of(large)
    costs.told(amp, 1000.0, 2.0)
    assert costs.of(large) < slow == pytest.approx(sharing.ROW_SECONDS + sharing.LEAST_STEPS * 2048 / 100.0)
    assert costs.of(amp) == 2.0
    # Inference launches more for each operation: it tells nothing of training where training is known.
    known = costs.of(large)
    costs.told(infer, 1.0, 2.0)
    assert costs.of(large) == known
