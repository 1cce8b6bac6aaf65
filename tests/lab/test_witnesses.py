"""What a driver that hangs, dies or lies does to detection: nothing but a fact."""

from __future__ import annotations

from pathlib import Path

from tests.lab.machine import HEALTHY, merged
from tests.lab.scenario import facts_of


def test_what_was_learnt_before_a_hang_is_kept(stubs: Path, tmp_path: Path) -> None:
    spec = merged(HEALTHY, {"returns": {"nvmlDeviceGetName": "hang"}})
    facts = facts_of(spec, tmp_path, stubs, limit=0.8)
    assert facts["nvml"]["driver"] == "580.95.05"
    assert facts["nvml"]["count"] == 1
    assert facts["nvml"]["witness"]["status"] == "hang"
    assert facts["nvml"]["witness"]["detail"] == "no answer after 0.8 s in nvmlDeviceGetName"


def test_a_crash_names_signal_and_call(stubs: Path, tmp_path: Path) -> None:
    facts = facts_of(merged(HEALTHY, {"returns": {"cuInit": "crash"}}), tmp_path, stubs, limit=30)
    assert facts["cuda"]["witness"]["detail"] == "died with signal 11 (SIGSEGV) in cuInit"
    assert facts["cuda"]["version"] == 13000
    assert facts["kernel"]["witness"]["status"] == facts["nvml"]["witness"]["status"] == "ok"


def test_every_fact_about_a_gpu(stubs: Path, tmp_path: Path) -> None:
    gpu = {"model": "NVIDIA A100-SXM4-40GB", "mig": 1, "mig_instances": 2, "processes": 3, "utilization": 55}
    facts = facts_of(merged(HEALTHY, {"gpus": [gpu]}), tmp_path, stubs, limit=30)
    (device,) = facts["nvml"]["devices"]
    assert device["name"] == "NVIDIA A100-SXM4-40GB"
    assert device["uuid"] == "GPU-00000000-aaaa-bbbb-cccc-000000000000"
    assert device["pci"] == "00000000:01:00.0"
    assert device["compute_capability"] == [8, 0]
    assert device["memory"]["total"] == 40 << 30
    assert device["memory"]["free"] == (40 << 30) - 500_000_000
    assert device["power"] == {"draw": 60.0, "limit": 300.0}
    assert device["clocks"] == {"sm": 1000, "memory": 1000, "max_sm": 1410, "event_reasons": 1}
    assert device["ecc"]["enabled"] is True
    assert device["ecc"]["volatile_uncorrected"] == 0
    assert len(device["mig"]["instances"]) == 2
    assert device["pcie"] == {"generation": 4, "max_generation": 4, "width": 16, "max_width": 16}
    assert [process["pid"] for process in device["processes"]] == [4000, 4001, 4002]
    assert device["utilization"]["gpu"] == 55
    assert facts["nvml"]["driver"] == "580.95.05"
    assert facts["nvml"]["cuda"] == 13000
    assert facts["nvml"]["shutdown"] == 0
    assert facts["cuda"]["devices"][0]["compute_capability"] == [8, 0]


def test_nvml_is_shut_down_after_a_failure(stubs: Path, tmp_path: Path) -> None:
    facts = facts_of(merged(HEALTHY, {"returns": {"nvmlDeviceGetCount_v2": 999}}), tmp_path, stubs, limit=30)
    assert facts["nvml"]["calls"]["nvmlDeviceGetCount"] == 999
    assert facts["nvml"]["shutdown"] == 0
