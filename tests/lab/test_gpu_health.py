"""The check gpu-health, with the real NVML client on a driver that says what a scenario says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.system.checkout import find_root
from tests.lab.machine import HEALTHY, build, merged

ROOT = find_root(Path(__file__).parent)
#: The check as a process of its own, which is what the stub driver is loaded into; no framework computes.
PROGRAM = """
import json
from smoke import backends, catalog, child
from smoke.checks import gpu_health
from smoke.context import Context

class Workload:
    def __init__(self, backend, row):
        assert row.id.startswith("cnn/train/"), row.id  # a card with 4 GB has no room for ResNet-18 at batch 128
    def run(self, count): pass
    def close(self): pass

class Speed:
    pass

Speed.Workload = Workload
backends.speed, backends.load = lambda framework: Speed, lambda *asked: None
gpu_health.SECONDS = 0.0
context = Context("torch", {"gpu": True, "variant": "gpu"}, 1, None, lambda key, value: None)
print(json.dumps(child.one(catalog.Check(gpu_health), context)))
"""
NOT_SUPPORTED, NO_PERMISSION, DRIVER_NOT_LOADED = 3, 4, 9
#: What a GeForce, an H100 in a virtual machine and a card in MIG mode do not tell.
SILENT = (
    "nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetEccMode", "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRetiredPagesPendingStatus", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetSerial", "nvmlDeviceGetMigMode", "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetPersistenceMode",
)  # fmt: skip


def checked(stubs: Path, tmp_path: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """The check's entry on such a machine."""
    place = build(merged(HEALTHY, spec), tmp_path, stubs)
    with place.entered():
        done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("gpu", "outcome", "found"),
    [
        ({}, "passed", {"throttled": {}, "uncorrected": {"0": 0}}),
        ({"event_reasons": 0x05}, "passed", {"reasons": {"0": ["0x5"]}}),  # idle, and the cap it is sold with
        ({"event_reasons": 0x20}, "failed", {"throttled": {"0": ["software thermal slowdown"]}}),
        ({"event_reasons": 0xC8}, "failed", {"reasons": {"0": ["0xc8"]}}),
        ({"ecc_uncorrected": 7}, "failed", {"throttled": {}, "uncorrected": {"0": 7}}),
    ],
)
def test_gpu_health(stubs: Path, tmp_path: Path, gpu: dict[str, Any], outcome: str, found: dict[str, Any]) -> None:
    result = checked(stubs, tmp_path, {"gpus": [{"model": "NVIDIA A100-SXM4-40GB", **gpu}]})
    assert result["outcome"] == outcome
    assert {key: result["found"][key] for key in found} == found
    assert outcome == "passed" or "check cooling" in result["reason"]


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION])
@pytest.mark.parametrize("model", ["NVIDIA GeForce RTX 3060", "NVIDIA H100 80GB HBM3"])
def test_what_a_card_does_not_tell_is_no_fault(stubs: Path, tmp_path: Path, model: str, code: int) -> None:
    result = checked(stubs, tmp_path, {"gpus": [{"model": model}], "returns": dict.fromkeys(SILENT, code)})
    assert (result["outcome"], result["reason"]) == ("passed", "")
    assert result["found"]["uncorrected"] == {"0": None}


def test_a_card_that_does_not_tell_still_throttles(stubs: Path, tmp_path: Path) -> None:
    gpus = [{"model": "NVIDIA GeForce RTX 3060", "event_reasons": 0x40}]
    result = checked(stubs, tmp_path, {"gpus": gpus, "returns": dict.fromkeys(SILENT, NOT_SUPPORTED)})
    assert result["found"]["throttled"] == {"0": ["hardware thermal slowdown"]}


def test_a_slice_is_healthy(stubs: Path, tmp_path: Path) -> None:
    silent = ("nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage")
    gpus = [{"model": "NVIDIA A100-SXM4-40GB", "mig": 1, "mig_instances": 7}]
    result = checked(stubs, tmp_path, {"gpus": gpus, "returns": dict.fromkeys(silent, NOT_SUPPORTED)})
    assert result["outcome"] == "passed"


def test_the_gpus_of_others_are_not_this_runs(stubs: Path, tmp_path: Path) -> None:
    model = "NVIDIA H100 80GB HBM3"
    gpus = [{"model": model}, {"model": model, "event_reasons": 0x48, "ecc_uncorrected": 3}]
    result = checked(stubs, tmp_path, {"gpus": gpus, "values": {"cuda.count": 1}})
    assert (result["outcome"], result["found"]["uncorrected"]) == ("passed", {"0": 0})
    both = checked(stubs, tmp_path / "both", {"gpus": gpus})
    assert both["found"]["throttled"] == {"1": ["hardware slowdown", "hardware thermal slowdown"]}


def test_without_nvml_it_is_a_skip(stubs: Path, tmp_path: Path) -> None:
    returns = {"nvmlInit_v2": DRIVER_NOT_LOADED, "nvmlInit": DRIVER_NOT_LOADED, "nvmlInitWithFlags": DRIVER_NOT_LOADED}
    result = checked(stubs, tmp_path, {"returns": returns})
    assert result["outcome"] == "skipped"
    assert "NVML does not start" in result["reason"]
