"""Which machine a report is of: named, and by nothing that is confidential."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.system.host import describe

FILES = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "proc/meminfo": "MemTotal:       24684084 kB\nMemFree: 1 kB\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8488C\nmodel name\t: other\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n"
    "GCC version:  gcc version 12.2.0 (Debian)\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 0\n"
    "GPU UUID: \t GPU-5b1c\nBus Location: \t 0000:01:00.0\n",
    "proc/driver/nvidia/gpus/0000:02:00.0/information": "Model: NVIDIA H100 80GB HBM3\nGPU UUID: GPU-????????-????\n",
    "sys/class/dmi/id/sys_vendor": "Supermicro\n",
    "sys/class/dmi/id/product_name": "SYS-421GE\n",
    "sys/class/dmi/id/board_name": "Default string\n",
    "sys/class/dmi/id/board_serial": "SECRET-SERIAL\n",
    "sys/class/dmi/id/product_uuid": "SECRET-UUID\n",
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_machine_is_named_by_its_parts(machine: Path) -> None:
    found = describe(machine)
    assert {key: found[key] for key in ("board", "cpu", "memory_bytes", "driver")} == {
        "board": "Supermicro SYS-421GE",
        "cpu": "Intel(R) Xeon(R) Platinum 8488C",
        "memory_bytes": 24684084 * 1024,
        "driver": "580.159.04",
    }
    h100 = {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": None}
    assert found["gpus"] == [{**h100, "uuid": "GPU-5b1c"}, {**h100, "uuid": None}]


def test_what_nvml_told_of_the_gpus_goes_first(machine: Path) -> None:
    told = {"name": "NVIDIA H100", "uuid": "GPU-1", "memory_bytes": 85 << 30, "serial": "SECRET"}
    assert describe(machine, [told])["gpus"] == [{"name": "NVIDIA H100", "uuid": "GPU-1", "memory_bytes": 85 << 30}]


def test_the_same_machine_has_the_same_id_and_nothing_confidential_is_told(machine: Path) -> None:
    one, again = describe(machine), describe(machine)
    assert one["id"] == again["id"]
    assert len(one["id"]) == 32
    text = json.dumps(one)
    assert "0123456789abcdef" not in text
    assert "SECRET" not in text
    (machine / "etc/machine-id").write_text("1" * 32)
    assert describe(machine)["id"] != one["id"]


def test_a_machine_that_tells_nothing_has_a_description_all_the_same(tmp_path: Path) -> None:
    found = describe(tmp_path)
    assert (found["id"], found["board"], found["driver"], found["gpus"]) == (None, None, None, [])
