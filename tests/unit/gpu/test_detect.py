"""The witnesses' own code, where the lab's scenarios do not already hold it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.system.interpreters import find_python
from smoke.detect import kernel, nodes, surroundings
from smoke.detect.tree import Tree, clip
from smoke.detect.witness import Notes


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "version", "is_open"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2\n", "470.256.02", False),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n", "580.95.05", True),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build\n", "580.95.05", True),
        ("garbage", None, False),
    ],
)
def test_both_forms_of_the_drivers_version(tmp_path: Path, text: str, version: str | None, is_open: bool) -> None:
    write(tmp_path, "proc/driver/nvidia/version", text)
    found = kernel.modules(Tree(str(tmp_path)))
    assert (found["version"], found["open"]) == (version, is_open)


def test_no_variable_but_the_named_ones_enters_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_API_KEY", "a secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    notes = Notes()
    surroundings.look(Tree(str(tmp_path)), notes)
    assert notes.facts["variables"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert "a secret" not in json.dumps(notes.facts)


def test_what_the_processor_lacks(tmp_path: Path) -> None:
    assert kernel.cpu(Tree(str(tmp_path))) == {"model": None, "lacks": None}
    (tmp_path / "proc").mkdir()
    told = "processor\t: 0\nmodel name\t: Celeron N4505\nflags\t\t: sse4_1 sse4_2 rdrand\nvmx flags\t: x avx\n"
    (tmp_path / "proc/cpuinfo").write_text(told)
    assert kernel.cpu(Tree(str(tmp_path))) == {"model": "Celeron N4505", "lacks": ["avx", "avx2", "fma"]}


def test_majors_by_driver_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        "proc/devices",
        "Character devices:\n  1 mem\n195 nvidia-frontend\n508 nvidia-uvm\n\nBlock devices:\n  9 nvidia\n",
    )
    assert nodes.majors(Tree(str(tmp_path))) == {"nvidia": 195, "nvidia-uvm": 508}


def test_of_a_long_log_the_end_is_read(tmp_path: Path) -> None:
    write(tmp_path, "var/log/kern.log", "nothing\n" * 700_000 + "NVRM: Xid (PCI:0000:01:00): 79\n")
    found = kernel.log(Tree(str(tmp_path)))
    assert found["source"] == "/var/log/kern.log"
    assert found["lines"] == ["NVRM: Xid (PCI:0000:01:00): 79"]


def test_a_machine_without_a_pci_bus_has_no_pci_gpu(tmp_path: Path) -> None:
    (tmp_path / "sys/devices").mkdir(parents=True)
    assert kernel.pci(Tree(str(tmp_path)))["readable"] is True


def test_a_sysfs_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert kernel.pci(Tree(str(tmp_path))) == {"readable": False, "error": "ENOENT", "gpus": []}


def test_each_driver_library_is_listed_once_by_its_real_path(tmp_path: Path) -> None:
    write(tmp_path, "usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05", "x")
    (tmp_path / "usr/lib/x86_64-linux-gnu/libcuda.so.1").symlink_to("libcuda.so.580.95.05")
    (tmp_path / "usr/lib/x86_64-linux-gnu/libcuda.so").symlink_to("libcuda.so.1")
    assert surroundings.libraries(Tree(str(tmp_path))) == [
        {
            "path": "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05",
            "real": "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05",
            "size": 1,
        }
    ]


def test_text_from_a_driver_is_cut_and_made_readable() -> None:
    assert clip(b"\xff\x00name", 10) == "\N{REPLACEMENT CHARACTER}name"
    assert clip("x" * 500) == "x" * 400 + "…"


def test_a_document_that_cannot_be_written_is_one_line_and_exit_code_2(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smoke.detect", "--json", str(tmp_path / "no" / "folder"), "--root", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("smoke.detect: cannot write ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_detection_runs_on_every_python(root: Path, tmp_path: Path, version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    environ = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"}
    command = [str(python), "-m", "smoke.detect", "--root", str(tmp_path)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, check=True)
    facts = json.loads(done.stdout)
    for witness in ("kernel", "nvml", "cuda"):
        assert facts[witness]["witness"]["status"] == "ok"
        assert facts[witness]["messages"] == []
