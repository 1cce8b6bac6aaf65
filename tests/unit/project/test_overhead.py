"""The comparison with loops written by hand, on a GPU: everything but the measuring."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FP32, TF32 = (f"resnet18/train/eager/128/{precision}/device" for precision in ("fp32", "tf32"))
GRAPH = "cnn/train/cuda_graph/128/fp32/device"


@pytest.fixture
def overhead(root: Path) -> ModuleType:
    return load(root / "benchmarks" / "overhead.py")


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Commands:
    """What would run: smoke measures all rows but those it skips, loops are slower by a share."""

    def __init__(self, ours: float, skipped: tuple[str, ...] = ()) -> None:
        self.ours = ours
        self.skipped = skipped
        self.seen: list[tuple[str, list[str]]] = []

    def output(self, command: list[str], environ: object = None) -> bytes:
        if "smoke" in command:
            names = command[command.index("--rows") + 1].split(",")
            self.seen.append(("ours", names))
            return json.dumps({"throughput": {"rows": [self.row(name) for name in names]}}).encode()
        assert command[1].endswith("_gpu_loop.py")
        names = command[4:]
        self.seen.append(("plain", names))
        return "\n".join(json.dumps({"row": name, "images_per_second": 1000.0}) for name in names).encode()

    def row(self, name: str) -> dict[str, Any]:
        if name in self.skipped:
            return {"id": name, "outcome": "skipped", "reason": "bfloat16 needs more", "images_per_second": None}
        rate = {"median": self.ours * 1000.0}
        return {"id": name, "outcome": "measured", "reason": "", "images_per_second": rate}


Run = Callable[..., tuple[int | str | None, dict[str, Any], Commands]]


@pytest.fixture
def run(overhead: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run it with these arguments; how it ended, what it printed, and what ran."""

    def run(*arguments: str, ours: float = 1.0, skipped: tuple[str, ...] = ()) -> Any:
        commands = Commands(ours, skipped)
        monkeypatch.setattr(overhead, "output", commands.output)
        monkeypatch.setattr(sys, "argv", ["overhead.py", "--gpu", *arguments])
        code: int | str | None = 0
        try:
            overhead.main()
        except SystemExit as ended:
            code = ended.code
        out = capsys.readouterr().out
        return code, json.loads(out) if out else {}, commands

    return run


def test_every_row_is_held_against_a_loop_and_one_below_the_aim_is_a_failure(
    overhead: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overhead, "require_gpu", lambda framework, python: None)
    code, found, commands = run("--torch", "python", "--rounds", "2", "--rows", f"{FP32},{GRAPH}")
    assert code == 0
    assert {name: row["ratios"] for name, row in found["torch"]["rows"].items()} == {
        FP32: [1.0, 1.0],
        GRAPH: [1.0, 1.0],
    }
    # In turns: another comes first in each round.
    assert [who for who, _ in commands.seen] == ["ours", "plain", "plain", "ours"]
    code, found, _ = run("--torch", "python", "--rounds", "1", "--rows", FP32, ours=0.97)
    assert (code, found["torch"]["missed"], found["torch"]["aim"]) == (1, [FP32], 0.98)


def test_a_row_that_cannot_be_measured_here_is_not_asked_of_the_loop(
    overhead: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overhead, "require_gpu", lambda framework, python: None)
    _, found, commands = run("--torch", "python", "--rounds", "2", "--rows", f"{FP32},{TF32}", skipped=(TF32,))
    assert list(found["torch"]["rows"]) == [FP32]
    assert [names for who, names in commands.seen if who == "plain"] == [[FP32], [FP32]]
    code, _, _ = run("--torch", "python", "--rounds", "2", "--rows", TF32, skipped=(TF32,))
    assert code == "no row was measured both ways: torch"


def test_tensorflow_has_a_process_of_its_own_for_tf32(overhead: ModuleType) -> None:
    assert overhead.groups("torch", [FP32, TF32]) == [[FP32, TF32]]
    assert overhead.groups("tf2", [FP32, TF32, GRAPH]) == [[FP32, GRAPH], [TF32]]
    assert overhead.groups("tf2", [TF32]) == [[TF32]]


def test_the_rows_are_those_that_a_gpu_is_measured_by(overhead: ModuleType) -> None:
    names = overhead.gpu_rows("torch")
    assert len(names) == 12
    assert {FP32, TF32, GRAPH} < set(names)


def test_without_a_gpu_it_says_that_it_needs_one(run: Run, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    python.chmod(0o755)
    code, found, commands = run("--torch", str(python), "--rows", FP32)
    assert str(code).startswith(f"--gpu needs a GPU, and the torch of {python} sees none: run it on a machine that has")
    assert (found, commands.seen) == ({}, [])
    code, found, _ = run("--torch", str(python), "--rounds", "1", "--rows", FP32, "--try-on-cpu", ours=0.5)
    assert (code, found["torch"]["device"], found["torch"]["missed"]) == (0, "cpu", [FP32])


def test_a_loop_s_rate_is_the_median_of_windows_after_a_warm_up(root: Path) -> None:
    gpu = load(root / "benchmarks" / "plain" / "gpu.py")
    now = [0.0]

    def steps(count: int) -> None:
        now[0] += 0.01 * count * (3.0 if now[0] < 1.0 else 1.0)

    assert gpu.rate(steps, lambda: now[0]) == pytest.approx(100.0)
    row = gpu.Row("resnet18/train/channels_last/512/amp/host")
    assert (row.model, row.mode, row.batch, row.precision, row.feed) == (
        *("resnet18", "channels_last", 512, "amp", "host"),
    )
