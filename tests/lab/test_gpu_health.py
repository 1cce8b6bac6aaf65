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
from smoke import backends
from smoke.checks import gpu_health
from smoke.context import Context

class Workload:
    def __init__(self, backend, row): pass
    def run(self, count): pass
    def close(self): pass

class Speed:
    pass

Speed.Workload = Workload
backends.speed, backends.load = lambda framework: Speed, lambda *asked: None
gpu_health.SECONDS = 0.0
context = Context("torch", {"gpu": True, "variant": "gpu"}, 1, None, lambda key, value: None)
print(json.dumps(gpu_health.run(context).as_dict()))
"""


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
    place = build(merged(HEALTHY, {"gpus": [{"model": "NVIDIA A100-SXM4-40GB", **gpu}]}), tmp_path, stubs)
    with place.entered():
        done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["outcome"] == outcome
    assert {key: result["found"][key] for key in found} == found
    assert outcome == "passed" or "check cooling" in result["reason"]
