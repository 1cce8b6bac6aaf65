"""The GPU sampler on a stand-in for NVML."""

import sys

from smoke.throughput import gpus


class NVMLError(Exception):
    """As pynvml raises it."""

    def __init__(self, value):
        super().__init__(value)
        self.value = value


class Rates:
    gpu = 35


class FakeNvml:
    """pynvml with one GPU; calls that it does not have fail as they do on an old driver."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0
    NVMLError = NVMLError

    def __init__(self, reasons, old=False):
        self.reasons = list(reasons)
        self.old = old
        self.down = False

    count = 1

    def nvmlDeviceGetCount(self):  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return "handle"

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return Rates()

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        raise NVMLError(3)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):  # noqa: N802
        if self.old:
            raise NVMLError(13)
        return self.reasons.pop(0)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):  # noqa: N802
        return self.reasons.pop(0)

    def nvmlDeviceGetClockInfo(self, handle, kind):  # noqa: N802
        return 1000 + 100 * len(self.reasons)

    def nvmlDeviceGetTemperature(self, handle, kind):  # noqa: N802
        return 60

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return b"580.95.05"

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return "a GPU"

    def nvmlShutdown(self):  # noqa: N802
        self.down = True


def sampled(reasons, old=False):
    sampler = gpus.Sampler(FakeNvml(reasons, old))
    for _ in range(len(reasons)):
        sampler.sample()
    return sampler


def test_a_throttling_gpu_is_described_and_marked():
    found = sampled([0x1, 0x4, 0x44])
    assert found.described() == [
        {
            "name": "a GPU",
            "driver": "580.95.05",
            "samples": 3,
            "clock_mhz": [1000, 1100, 1200],
            "temperature_c": [60, 60, 60],
            "power_w": None,
            "throttled": ["power cap", "hardware thermal slowdown"],
        }
    ]
    assert found.marks() == [
        "throttled: GPU 0: hardware thermal slowdown",
        "busy: GPU 0 was used to 35 % when it started",
    ]


def test_a_power_cap_is_named_and_no_fault():
    found = sampled([0x4], old=True)
    found.used = [0]
    assert found.described()[0]["throttled"] == ["power cap"]
    assert found.marks() == []


def test_it_samples_by_itself_and_shuts_nvml_down(monkeypatch):
    monkeypatch.setattr(gpus, "SECONDS", 0.0)
    fake = FakeNvml([0] * 100000)
    with gpus.Sampler(fake) as sampler:
        while not sampler.seen[0]["reasons"]:
            pass
    assert fake.down


def test_without_nvml_there_is_nothing_to_say(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with gpus.sampler() as nothing:
        assert (nothing.described(), nothing.marks()) == ([], [])


def test_the_gpus_of_others_are_neither_described_nor_marked():
    fake = FakeNvml([0x40, 0x1])
    fake.count = 8
    sampler = gpus.Sampler(fake, [6])
    sampler.sample()
    assert len(sampler.described()) == 1
    assert [mark[: mark.index(":")] for mark in sampler.marks()] == ["throttled", "busy"]
    assert all("GPU 6" in mark for mark in sampler.marks())
    assert gpus.Sampler(fake, []).marks() == []
