"""What of a machine an env is given, as ``docker run`` has people say it."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.cli.machine import cpus, limits_of, memory, size
from dlmatrix.engines.docker.container import refuse_limits, said
from dlmatrix.errors import UsageError
from dlmatrix.matrix.plan import Limits

#: An A100 under a driver of 2025.
GPU: dict[str, Any] = {
    "kernel": {
        "pci": {"readable": True, "gpus": [{"address": "0000:01:00.0", "device": "0x20b0", "driver": "nvidia"}]},
        "modules": {"version": "570.124.06"},
        "nodes": {"/dev/nvidiactl": {"present": True, "open": "ok", "mode": "0666"}},
    },
    "nvml": {
        "init": {"code": 0},
        "driver": "570.124.06",
        "count": 1,
        "devices": [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": [8, 0]}],
        "witness": {"status": "ok"},
    },
    "cuda": {
        "init": {"code": 0},
        "count": 1,
        "version": 12080,
        "devices": [{"context": {"code": 0}}],
        "witness": {"status": "ok"},
    },
    "framework": None,
}

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1g", 1 << 30),
        ("512m", 512 << 20),
        ("64k", 64 << 10),
        ("1.5g", 3 << 29),
        ("2GiB", 2 << 30),
        ("2gb", 2 << 30),
        ("1t", 1 << 40),
        ("100b", 100),
        ("1073741824", 1 << 30),
    ],
)
def test_a_size_is_docker_s(text: str, found: int) -> None:
    assert size(text) == found


@pytest.mark.parametrize(
    "text", ["", "g", "0", "0g", "-1", "-1g", "1 gig", "1gg", "1e9", "nan", "inf", "0x10", "9" * 30]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no size"):
        size(text)


def test_a_container_starts_with_no_less_than_6m() -> None:
    assert memory("6m") == 6 << 20
    with pytest.raises(ArgumentTypeError, match="'5m' is less than the 6m"):
        memory("5m")


@pytest.mark.parametrize(("text", "found"), [("2", 2.0), ("1.5", 1.5), (".5", 0.5), ("0.01", 0.01)])
def test_processors(text: str, found: float) -> None:
    assert cpus(text) == found


@pytest.mark.parametrize("text", ["", ".", "0", "0.001", "-1", "1,5", "two", "nan", "inf", "1e3"])
def test_what_is_no_number_of_processors(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no number of processors"):
        cpus(text)


def test_what_is_not_named_is_as_usual() -> None:
    assert limits_of(None, None, None) == Limits()
    assert limits_of(1 << 30, 1.5, 1 << 20) == Limits(memory_bytes=1 << 30, cpus=1.5, shm_bytes=1 << 20)
    assert said(limits_of(1 << 30, 1.5, 1 << 20)) == "1.5 processors, 1024 MiB of memory, 1 MiB of /dev/shm"
    assert said(Limits()).startswith("every processor, 8192 MiB")


ABLE = {"MemoryLimit": True, "CpuCfsQuota": True, "NCPU": 2}


@pytest.mark.parametrize(
    ("limits", "info", "says"),
    [
        (Limits(memory_bytes=1 << 30), ABLE | {"MemoryLimit": False}, "--memory: the kernel"),
        (Limits(cpus=1), ABLE | {"CpuCfsQuota": False}, "--cpus: the kernel"),
        (Limits(cpus=2.5), ABLE, "--cpus 2.5: the Docker engine has 2"),
    ],
)
def test_a_limit_that_an_engine_would_not_keep_is_refused(limits: Limits, info: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        refuse_limits(limits, info)


def test_what_an_engine_keeps_and_what_nobody_asked_for_is_not() -> None:
    refuse_limits(Limits(memory_bytes=1 << 30, cpus=2), ABLE)
    refuse_limits(Limits(), {"MemoryLimit": False, "CpuCfsQuota": False, "NCPU": 2})


@pytest.mark.parametrize(
    ("arguments", "says", "next_step"),
    [
        (["--memory", "lots"], "argument --memory: 'lots' is no size: write it like 512m or 1.5g", "--help"),
        (["--cpus", "many"], "argument --cpus: 'many' is no number of processors", "--help"),
        (["--shm-size", "0"], "argument --shm-size: '0' is no size", "--help"),
        (["--gpus", "0,0"], "argument --gpus: '0,0' names a GPU twice", "--help"),
        (["--gpus", "first"], "argument --gpus: 'first' is no GPU: write 0,2 or the UUIDs", "--help"),
        (["--gpus", "0"], "--gpus names GPUs, and none of the envs is for one", "name a gpu env"),
        (["--gpus", "none", "--require-gpu"], "--gpus none and --require-gpu exclude each other", "leave one"),
        (["--memory", "1g", "--cpus", "1"], "--memory and --cpus: the engine host holds no env", "--engine docker"),
        (["--shm-size", "1g"], "--shm-size: the engine host holds no env to it", "--engine docker"),
    ],
)
def test_a_bad_command_line(
    checkout: Path, cli: Cli, script: Callable[..., Path], *, arguments: list[str], says: str, next_step: str
) -> None:
    python = script("exit 0")
    code, _, err = cli("run", "cpu-torch-2.13", "--engine", "host", "--python", str(python), *arguments)
    message, _, last = err.partition("\n  next: ")
    assert code == 2
    assert says in message
    assert next_step in last
    assert not (checkout / "reports").exists()


def test_plan_shows_the_limits_as_the_engine_is_told_them(checkout: Path, cli: Cli) -> None:
    out = cli("plan", "cpu-torch-2.13", "--memory", "2g", "--cpus", "1.5", "--shm-size", "64m")[1]
    assert "--memory 2147483648 --memory-swap 2147483648 --shm-size 67108864" in out
    assert "--cpus 1.5" in out
    assert "--gpus" not in out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], " --gpus all dlmatrix:gpu-torch-2.15 "),
        (["--gpus", "0"], """ --gpus '"device=0"' dlmatrix:gpu-torch-2.15 """),
        (["--gpus", "none"], ",mode=1777 dlmatrix:gpu-torch-2.15 "),
    ],
)
def test_plan_shows_the_gpus_of_this_machine(
    checkout: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: list[str], shown: str
) -> None:
    monkeypatch.setattr("dlmatrix.run.outside.detect", lambda *_: GPU)
    code, out, err = cli("plan", "gpu-torch-2.15", *arguments)
    assert (code, err) == (0, "")
    assert shown in out


def test_plan_takes_the_version_that_run_would_take(checkout: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlmatrix.run.outside.detect", lambda *_: GPU)
    out = cli("plan", "gpu-torch")[1]
    assert out.startswith("gpu-torch: takes gpu-torch-2.9, the newest that this machine can run (gpu-torch-2.15: CUDA ")
    assert "dlmatrix:gpu-torch-2.9 has the content key" in out
    assert "dlmatrix:gpu-torch-2.15 has the content key" in cli("plan", "gpu-torch", "--newest")[1]


def test_what_a_scheduler_set_is_kept_handed_on_and_said(
    checkout: Path, cli: Cli, script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = script(f'echo "$CUDA_VISIBLE_DEVICES" >{checkout}/seen; exit 1')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    arguments = ["run", "gpu-torch-2.13", "--engine", "host", "--python", str(python)]
    out = cli(*arguments, "--report", "a")[1]
    assert "GPUs: those of CUDA_VISIBLE_DEVICES=7, which this shell's environment sets" in out
    assert (checkout / "seen").read_text() == "7\n"
    (env,) = json.loads((checkout / "a" / "result.json").read_text())["envs"]
    assert env["facts"]["GPUs"] == "by CUDA_VISIBLE_DEVICES=7 of the environment"
    code, _, err = cli(*arguments, "--report", "b", "--gpus", "0")
    assert (code, "--gpus 0 is not among CUDA_VISIBLE_DEVICES=7" in err) == (2, True)
    cli(*arguments, "--report", "c", "--gpus", "none")
    assert (checkout / "seen").read_text() == "\n"
