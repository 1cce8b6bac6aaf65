"""How throughput is measured, without a framework: statistics, windows, FLOPs, rows and the order they come in."""

import pytest

from smoke.throughput import cards, collect, networks, roof, rows, stats, windows


class Machine:
    """A clock, and a step of which each call costs what the list says (its last entry for ever)."""

    def __init__(self, costs, first=0.0):
        self.now = 0.0
        self.costs = list(costs)
        self.first = first
        self.calls = []

    def clock(self):
        return self.now

    def repeat(self, count):
        cost = self.costs.pop(0) if len(self.costs) > 1 else self.costs[0]
        self.now += self.first + cost * count
        self.first = 0.0
        self.calls.append(count * cost)

    def measure(self, **how):
        return windows.measure(self.repeat, clock=self.clock, **how)


def test_the_first_step_is_apart_and_a_steady_machine_needs_no_long_warm_up():
    machine = Machine([0.01], first=3.0)
    found = machine.measure()
    assert found.first == pytest.approx(3.01)
    assert found.windows == [pytest.approx(100)] * windows.WINDOWS
    # One step twice, up to half a second in eights, one more window to agree with, then those that count.
    assert machine.calls[:2] == [0.01, 0.01]
    assert [call for call in machine.calls if call >= windows.LEAST] == machine.calls[-2 - windows.WINDOWS :]


def test_a_step_longer_than_a_window_is_not_repeated():
    machine = Machine([7.0])
    found = machine.measure(lap=windows.LAP)
    assert (found.first, found.windows) == (7.0, [pytest.approx(1 / 7)] * windows.WINDOWS)
    assert len(machine.calls) == 3 + windows.WINDOWS


def test_the_warm_up_goes_on_until_two_windows_agree():
    slow = [1.0, 1.0, 0.9, 0.8, 0.79, 0.5]
    machine = Machine(slow)
    found = machine.measure()
    assert machine.calls[: len(slow)] == slow
    assert found.windows == [2.0] * windows.WINDOWS


def test_a_machine_that_never_settles_is_measured_all_the_same():
    machine = Machine([1.0, *(1.0 + number % 2 for number in range(20)), 1.0])
    found = machine.measure()
    assert len(found.windows) == windows.WINDOWS
    assert len(machine.calls) == 2 + windows.WARM_UP + windows.WINDOWS


def test_no_window_that_counts_is_too_short():
    # The machine becomes four times as fast after the warm-up: a window has as many laps as it takes.
    machine = Machine([0.1, 0.1, 0.1, 0.1, 0.025])
    found = machine.measure()
    *_, last = [machine.calls[start : start + 4] for start in range(4, len(machine.calls), 4)]
    assert last == [pytest.approx(6 * 0.025)] * 4
    assert sum(last) >= windows.LEAST > sum(last[1:])
    assert found.windows == [pytest.approx(40)] * windows.WINDOWS


def test_on_a_processor_each_lap_of_a_window_is_timed():
    machine = Machine([0.003])
    found = machine.measure(lap=windows.LAP)
    assert found.windows == [pytest.approx(1 / 0.003)] * windows.WINDOWS
    # The fewest whole steps that last a lap; as few laps as last a window; one window of warm-up.
    laps = [call for call in machine.calls if call == pytest.approx(0.021)]
    assert len(laps) == 24 * (1 + windows.WINDOWS)
    assert machine.calls[-1] == laps[-1]


def test_the_fastest_lap_is_what_a_step_takes_undisturbed():
    # Others make all but a few steps slower, by a different share each time.
    machine = Machine([0.03 * (1 + number * 7 % 23 / 50) for number in range(2000)])
    found = machine.measure(lap=windows.LAP)
    assert found.fastest == pytest.approx(1 / 0.03)
    assert max(found.windows) < 0.9 * found.fastest


def test_quantiles():
    assert [stats.quantile([4.0, 1.0, 3.0, 2.0, 5.0], share) for share in (0.25, 0.5, 0.75)] == [2.0, 3.0, 4.0]
    assert stats.quantile([1.0, 2.0], 0.25) == 1.25
    assert stats.median([7.0]) == 7.0


def test_a_stat_resamples_processes_and_its_spread_is_that_of_windows():
    samples = [[10.0, 11.0], [20.0, 21.0], [30.0, 31.0]]
    found = stats.stat(samples)
    assert found["median"] == 20.5
    assert (found["low"], found["high"]) == (10.5, 30.5)
    assert found["iqr"] == pytest.approx(27.75 - 13.25)
    assert found == stats.stat(samples)


def test_one_process_has_no_interval():
    found = stats.stat([[1.0, 2.0, 3.0]])
    assert (found["median"], found["low"], found["high"]) == (2.0, 2.0, 2.0)
    assert stats.stat([[5.0]]) == {"median": 5.0, "iqr": 0.0, "low": 5.0, "high": 5.0}


@pytest.mark.once
def test_the_interval_covers_the_median_as_often_as_it_says():
    draw = stats.random.Random(7).gauss
    covered = 0
    for number in range(200):
        low, high = stats.interval([draw(100, 5) for _ in range(15)], seed=number)
        covered += low <= 100 <= high
    # 95 % of 200 is 190; the percentile method is a little narrow for so few.
    assert covered >= 180


def test_narrow():
    assert stats.narrow({"median": 100.0, "low": 99.0, "high": 101.0}, 0.02)
    assert not stats.narrow({"median": 100.0, "low": 98.9, "high": 101.0}, 0.02)


def test_flops_come_from_the_shapes():
    cnn, resnet = networks.NETWORKS["cnn"], networks.NETWORKS["resnet18"]
    # 26*26 and 11*11 positions, then 1600x128 and 128x10; a product and a sum are two.
    by_hand = 2 * (26 * 26 * 9 * 1 * 32 + 11 * 11 * 9 * 32 * 64 + 1600 * 128 + 128 * 10)
    assert networks.flops_per_image(cnn, "infer") == by_hand == 5262080
    assert networks.flops_per_image(cnn, "train") == 3 * by_hand - 2 * 26 * 26 * 9 * 32
    # 1.814e9 multiplications and additions are what torchvision's model card names.
    assert networks.flops_per_image(resnet, "infer") == pytest.approx(2 * 1.814e9, rel=1e-3)


def test_other_shapes_give_other_flops():
    layers = [("conv", "a", 3, 2, 1, 4, True), ("residual", [("conv", "b", 3, 1, 1, 4, False)], []), ("flatten",)]
    found = networks.count(
        networks.Network(name="x", layers=layers, size=(8, 6, 2), classes=1, optimiser=(), padding="")
    )
    assert found.flops == 2 * (4 * 3 * 9 * 2 * 4 + 4 * 3 * 9 * 4 * 4)
    assert found.shapes == {"a/kernel": (3, 3, 2, 4), "a/bias": (4,), "b/kernel": (3, 3, 4, 4)}


@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_the_networks_have_their_parameters(name):
    found = networks.count(networks.NETWORKS[name])
    assert networks.parameters(found.shapes) == networks.PARAMETERS[name]


def test_the_known_numbers_of_parameters():
    assert networks.PARAMETERS == {"cnn": 225034, "resnet18": 11689512}


def test_a_large_batch_needs_more_memory_than_a_small_machine_has():
    resnet = networks.NETWORKS["resnet18"]
    assert networks.bytes_needed(resnet, "train", 512) > 16 << 30
    assert networks.bytes_needed(resnet, "train", 1) < 1 << 30


@pytest.mark.parametrize("framework", sorted(rows.MODES))
def test_on_a_processor_batch_128_of_every_mode_comes_first(framework):
    planned = rows.planned(framework, "cpu")
    first = [row for row in planned if row.tier == 0]
    assert planned[: len(first)] == first
    assert {row.id for row in first} == {
        f"cnn/{kind}/{mode}/128/fp32/device" for kind in rows.KINDS for mode in rows.MODES[framework]
    }
    assert {row.precision for row in planned} == {"fp32"}
    assert {row.batch for row in planned} == {1, 32, 128, 512}
    assert {row.feed for row in planned} == {"device", "host"}
    assert {row.model for row in planned} == {"cnn", "resnet18"}


def test_the_rows_of_a_processor_are_as_ever():
    """Comparisons of reports of different versions rely on the same rows in the same order."""
    found = [row.id for row in rows.planned("torch", "cpu")]
    modes = ("eager", "channels_last", "compiled")
    expected = [f"cnn/{kind}/{mode}/128/fp32/device" for mode in modes for kind in rows.KINDS]
    expected += [f"cnn/{kind}/eager/{batch}/fp32/device" for batch in (32, 512, 1) for kind in rows.KINDS]
    expected += [f"cnn/{kind}/eager/128/fp32/host" for kind in rows.KINDS]
    expected += [f"resnet18/{kind}/eager/{batch}/fp32/device" for batch in (1, 32) for kind in rows.KINDS]
    assert found[: len(expected)] == expected
    assert [len(rows.planned(framework, "cpu")) for framework in ("torch", "tf2", "tf1")] == [72, 72, 24]


@pytest.mark.parametrize("framework", sorted(rows.MODES))
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_row_is_planned_once_in_the_order_of_tiers(framework, device):
    planned = rows.planned(framework, device)
    assert [row.tier for row in planned] == sorted(row.tier for row in planned)
    assert len({row.id for row in planned}) == len(planned)
    assert all(rows.parse(row.id, framework).id == row.id for row in planned)


@pytest.mark.parametrize("framework", sorted(rows.MODES))
def test_on_a_gpu_training_resnet18_in_every_precision_comes_first(framework):
    planned = rows.planned(framework, "cuda", 1024)
    plain, *_ = rows.MODES[framework]
    assert [row.id for row in planned if row.tier == rows.HEADLINE] == [
        f"resnet18/train/{plain}/128/{precision}/device" for precision in ("fp32", "tf32", "amp", "bf16")
    ]
    # The same rows in each framework, but for the mode.
    wanted = {(row.model, row.kind, row.batch, row.precision, row.feed) for row in planned if row.tier <= rows.WANTED}
    headline = {("resnet18", "train", 128, precision, "device") for precision in ("fp32", "tf32", "amp", "bf16")}
    assert wanted == headline | {
        ("resnet18", "infer", 128, "amp", "device"),
        ("cnn", "train", 128, "fp32", "device"),
        ("resnet18", "train", 1024, "amp", "device"),
        ("resnet18", "train", 128, "amp", "host"),
    }


def test_a_gpu_of_pytorch_has_layouts_compiling_and_launches():
    names = {row.id for row in rows.planned("torch", "cuda") if row.tier <= rows.WANTED}
    assert {
        *(f"resnet18/train/channels_last/128/{half}/device" for half in ("amp", "bf16")),
        "resnet18/train/compiled_channels_last/128/amp/device",
        "cnn/train/cuda_graph/128/fp32/device",
    } <= names
    assert "cnn/train/jit/128/fp32/device" in {row.id for row in rows.planned("tf2", "cuda") if row.tier <= rows.WANTED}


@pytest.mark.parametrize(
    ("gib", "batch"), [(None, 256), (4, 256), (8, 256), (16, 512), (24, 512), (40, 1024), (80, 2048), (141, 2048)]
)
def test_the_batch_that_fills_a_card_goes_by_its_memory(gib, batch):
    assert cards.full_batch(gib and gib << 30) == batch


def test_what_a_card_cannot_compute_in_is_said_with_its_compute_capability():
    assert cards.refused("tf32", [7, 5]) == "TF32 needs compute capability 8.0, and this card has 7.5"
    assert cards.refused("bf16", (7, 0)) == "bfloat16 needs compute capability 8.0, and this card has 7.0"
    assert [cards.refused(name, (7, 0)) for name in ("fp32", "amp")] == ["", ""]
    assert [cards.refused(name, found) for name in ("tf32", "bf16") for found in ((8, 0), (12, 0), None)] == [""] * 6


class Asked:
    """A module of workloads that notes what it is asked for."""

    def __init__(self):
        self.kinds = []

    def matmul(self, backend, size, kind):
        self.kinds.append((size, kind))


@pytest.mark.parametrize(
    ("device", "capability", "details"),
    [
        ("cpu", None, ["2048x2048 float32"]),
        ("cuda", (9, 0), ["8192x8192 " + kind for kind in ("float32", "tf32", "float16", "bfloat16")]),
        ("cuda", (7, 5), ["8192x8192 float32", "8192x8192 float16"]),
    ],
)
def test_the_roof_has_a_product_in_every_precision_of_the_card(device, capability, details):
    speed = Asked()
    found = [figure for figure in roof.planned(device, 16 << 30, speed, None, capability) if figure.name == "matmul"]
    assert [figure.detail for figure in found] == details
    assert [figure.detail for figure in found if figure.tf32] == [detail for detail in details if "tf32" in detail]
    for figure in found:
        figure.make()
    assert [kind for _, kind in speed.kinds] == [detail.split(" ")[1].replace("tf32", "float32") for detail in details]


def test_the_roof_of_each_precision():
    found = [("matmul", "8192x8192 " + kind, value) for kind, value in (("float32", 5.0), ("tf32", 40.0))]
    found += [("matmul", "8192x8192 bfloat16", 70.0), ("copy", "1.00 GiB float16", 3.0)]
    assert roof.of(found) == {"fp32": 5.0, "tf32": 40.0, "bf16": 70.0}


def test_windows_of_a_gpu_are_short_and_those_of_a_processor_as_ever():
    assert windows.how("cpu") == {"lap": windows.LAP}
    machine = Machine([0.01], first=3.0)
    found = machine.measure(**windows.how("cuda"))
    assert found.windows == [pytest.approx(100)] * 3
    assert machine.now < 3.0 + 1.7


def test_a_gpu_is_warm_when_two_windows_agree_within_a_percent():
    machine = Machine([0.3, 0.3, 0.295, 0.29, 0.289, 0.2])
    found = machine.measure(**windows.how("cuda"))
    assert machine.calls[:5] == [0.3, 0.3, 0.295, 0.29, 0.289]
    assert found.windows == [pytest.approx(5.0)] * 3


def test_a_row_s_id_is_understood_and_another_is_named():
    row = rows.parse("resnet18/infer/jit/32/amp/device", "tf2")
    assert (row.model, row.kind, row.mode, row.batch, row.precision, row.feed) == (
        *("resnet18", "infer", "jit", 32, "amp", "device"),
    )
    assert row.described()["id"] == row.id
    assert rows.parse("resnet18/train/channels_last/1024/amp/device", "torch").batch == 1024
    with pytest.raises(ValueError, match=r"no row 'cnn/train/session/128/fp32/device'; one of them is cnn/train/eager"):
        rows.parse("cnn/train/session/128/fp32/device", "torch")


def test_what_malloc_and_openmp_are_told_is_recorded_and_the_users_own_stays(monkeypatch):
    for name in ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    found = collect.settings()
    assert (found["MALLOC_MMAP_MAX_"], found["GOMP_SPINCOUNT"]) == ("0", "1000")
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "65536")
    assert collect.settings()["MALLOC_MMAP_MAX_"] == collect.environment(1)["MALLOC_MMAP_MAX_"] == "65536"


def test_the_settings_of_a_processor_are_as_ever_and_a_gpus_are_its_own():
    cpu, gpu = collect.settings("cpu"), collect.settings("cuda")
    assert (cpu["tf32"], cpu["window_seconds"], cpu["windows"], cpu["lap_seconds"]) == (False, 0.5, 2, 0.02)
    assert (gpu["tf32"], gpu["window_seconds"], gpu["windows"]) == ("in rows named so", 0.25, 3)
