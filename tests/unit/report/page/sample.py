"""result.json of runs that never were: every ending, figures in the shape of the contract, texts that mean harm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.unit import documents
from tests.unit.documents import Json, check, env

ENGINE = {"engine": "docker", "version": "28.5.2", "image store": "containerd", "cpus": "2"}
HOST = {
    "name": "gpu07.lab.example",
    "id": "0f" * 16,
    "kernel": "6.18.44",
    "machine": "x86_64",
    "board": "Supermicro SYS-421GE-TNRT",
    "cpu": "Intel(R) Xeon(R) Platinum 8488C",
    "cpus": 2,
    "memory_bytes": 25_276_502_016,
    "driver": "580.95.05",
    "gpus": [{"name": "NVIDIA H100 80GB HBM3", "uuid": f"GPU-{n}", "memory_bytes": 85_520_809_984} for n in range(2)],
}
MARK = "busy: load 3.2 on 2 processors when it started"
HOSTILE = '<script>window.hacked=1</script>\x1b[31mred\x1b[0m \u202egnirts </script><!-- 中文 & "quotes" \''
LONG = "no-space-in-this-" * 80
#: Images per second at batch 1, 32, 128 and 512.
SPEEDS = {
    ("cnn", "train", "eager"): (410, 2900, 3520, 3610),
    ("cnn", "train", "channels_last"): (395, 3300, 4480, 4700),
    ("cnn", "infer", "eager"): (1450, 7100, 7990, 8120),
    ("cnn", "infer", "channels_last"): (1390, 9000, 10900, 11200),
    ("resnet18", "train", "eager"): (1.6, 4.1, 4.4, None),
    ("resnet18", "infer", "eager"): (7.9, 13.2, 13.9, None),
}
BATCHES = (1, 32, 128, 512)
#: FLOP/s of a matrix product on the CPU, and in each precision on the GPU.
ROOFS = {"cpu": 1.7e11, "fp32": 5.1e13, "tf32": 4e14, "amp": 7e14, "bf16": 7e14}
#: ResNet-18 at batch 128 in the precisions of a GPU.
GPU_ROWS = (
    ("train", "eager", "tf32", 114.8),
    ("train", "eager", "bf16", 128.2),
    ("train", "channels_last", "amp", 303.8),
    ("infer", "channels_last", "amp", 939.9),
)


def stat(median: float, spread: float = 0.03) -> Json:
    ends = {"iqr": median * spread, "low": median * (1 - spread / 1.3), "high": median * (1 + spread)}
    return {"median": median, **{name: float(f"{value:.6g}") for name, value in ends.items()}}


def rows(factor: float, device: str) -> Iterator[Json]:
    for (model, kind, mode), speeds in SPEEDS.items():
        for batch, speed in zip(BATCHES, speeds, strict=True):
            if speed is not None:
                # What launches cost holds a GPU back far more at batch 1.
                rate = round(speed * factor * ((batch / 128) ** 0.5 if device == "cuda" else 1.0), 2)
                yield row(model, kind, mode, batch, rate, device) | {"best": mode != "eager" and batch == 128}
    yield row("cnn", "train", "eager", 128, round(3300 * factor, 1), device, feed="host")
    if device == "cuda":
        yield row("cnn", "train", "eager", 128, round(4900 * factor, 1), device, precision="amp")
        yield row("cnn", "train", "cuda_graph", 128, round(5600 * factor, 1), device)
        for kind, mode, precision, speed in GPU_ROWS:
            yield row("resnet18", kind, mode, 128, round(speed * factor, 1), device, precision=precision)
    for batch in BATCHES:
        yield row("cnn", "train", "compiled", batch, None, device) | {
            "outcome": "skipped",
            "reason": "torch.compile needs a C++ compiler, which this image has not",
        }


def row(  # noqa: PLR0917 - what names a row
    model: str,
    kind: str,
    mode: str,
    batch: int,
    rate: float | None,
    device: str,
    *,  # what few rows differ in
    precision: str = "fp32",
    feed: str = "device",
) -> Json:
    flop = (15.4e6 if kind == "train" else 5.26e6) if model == "cnn" else 5.4e9
    figures = (
        {
            "images_per_second": stat(rate),
            "samples": [[round(rate * (1 + 0.01 * n), 1) for n in range(-2, 4)]] * 5,
            "fastest": [round(rate * 1.04, 1)] * 5,
            "roof_share": round(rate * flop / ROOFS[precision if device == "cuda" else device], 4),
        }
        if rate is not None
        else {}
    )
    return documents.row(
        f"{model}/{kind}/{mode}/{batch}/{precision}/{feed}",
        device=device,
        first_step_seconds=0.139,
        stopped="narrow" if batch == 128 else "budget",
        peak_host_bytes=812_000_000 + 1_000_000 * batch,
        peak_device_bytes=1_400_000_000 if device == "cuda" else None,
        flops_per_image=flop,
        **figures,
    )


def throughput(factor: float = 1.0, device: str = "cpu", marks: tuple[str, ...] = ()) -> Json:
    gpu = {"name": "NVIDIA H100 80GB HBM3", "driver": "580.95.05", "samples": 240, "clock_mhz": [1410, 1755, 1980]}
    gpu |= {"temperature_c": [41, 58, 66], "power_w": [112.5, 380.2, 612.9], "throttled": ["SwPowerCap"]}
    return documents.throughput(
        list(rows(factor, device)),
        roof=[
            {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32", "value": stat(1.7e11)},
            {"name": "copy", "unit": "B/s", "detail": "1 GiB", "value": stat(9.3e9)},
            {"name": "launch", "unit": "s", "detail": "add of one number", "value": stat(2.1e-6)},
        ],
        cpu="Intel(R) Xeon(R) Platinum 8488C",
        gpus=[gpu, {**gpu, "throttled": []}] if device == "cuda" else [],
        marks=list(marks),
    )


def diagnosis() -> Json:
    cause = {
        "label": "DRIVER_NOT_INSTALLED",
        "row": 2,
        "layer": "kernel module",
        "place": "host",
        "severity": "blocks",
        "title": "the NVIDIA driver is not installed",
        "evidence": ["/sys/bus/pci: 10de:2330 without a driver"],
        "remedy": "install the driver: `sudo apt install nvidia-driver`, then reboot",
        "source": "a/b#1",
        "possible": False,
        "apart": [],
    }
    layers = [
        {"place": "host", "layer": "hardware", "state": "works", "detail": "1 NVIDIA GPU on the PCI bus"},
        {"place": "host", "layer": "kernel module", "state": "broken", "detail": "nvidia is not loaded"},
        {"place": "container", "layer": "framework", "state": "unknown", "detail": ""},
    ]
    return {"verdict": "unusable", "causes": [cause], "warnings": [], "blind": [], "layers": layers}


def document(framework: str, factor: float = 1.0, device: str = "cpu", marks: tuple[str, ...] = ()) -> Json:
    epochs = [
        {"loss": round(1.8 * math.exp(-0.45 * n) + 0.02, 4), "accuracy": round(1 - 0.14 * math.exp(-0.6 * n), 4)}
        for n in range(10)
    ]
    found = {"float64": 1.5459859670841932e-14, "float32": 7.988208155127769e-07}
    checks = [check(name, found=found) for name in ("imports", "version-pin", "hermetic", "conv2d", "dense", "parity")]
    checks += [check(f"component-{n:02}", kind="smoke", found=found) for n in range(30)]
    return documents.document(
        *checks,
        check("graph", "skipped", reason="only for graphs"),
        framework=framework,
        python="3.11.7",
        versions={framework: "2.13.0+cpu", "numpy": "2.4.6"},
        training={"parameters": 225034, "epochs": epochs, "test_accuracy": 0.9888888888888889},
        throughput=throughput(factor, device, marks),
        log={"lines": 120, "tail": ["a line", HOSTILE]},
        seconds=50.7,
    )


def built(size: int = 274_643_974) -> Json:
    return {
        "built": True,
        "facts": {
            "base": "python:3.11-slim-bookworm",
            "unpacked_bytes": 4 * size,
            "compressed_bytes": size,
            "what": "sha256:" + "0f" * 32,
        },
        "layers": [
            {"step": "ADD rootfs.tar / # buildkit", "bytes": 192_819_200, "holds": "base"},
            {"step": "RUN sh -eu /run/finish-env # buildkit", "bytes": 994_983_936, "holds": "environment"},
            {"step": "COPY /out/srv /srv # buildkit", "bytes": 991_232, "holds": "checks"},
        ],
        "seconds": {"prepare": 61.4, "start": 0.31, "run": 142.8},
    }


def no_gpu(name: str) -> Json:
    more = document("torch")
    reason = "DRIVER_NOT_INSTALLED: the NVIDIA driver is not installed; do: install the driver"
    data = {"warnings": [], "diagnosis": diagnosis()}
    more["checks"].append(check("gpu-diagnosis", "skipped", "detection", reason, data=data))
    made = built()
    del made["facts"]["compressed_bytes"]  # the classic image store does not tell it
    return env(name, "skipped", f"passed on the CPU; {reason}", document=more, **made)


def every_ending() -> list[Json]:
    bad = document("torch", 0.93, marks=(MARK, HOSTILE))
    bad["checks"] += [
        check("wrong", "failed", reason=f"expected 1, {HOSTILE}", expected=1, found={HOSTILE: HOSTILE}),
        check("long", "failed", reason=LONG, found=[LONG, LONG]),
        check("broken", "error", reason="ImportError: 无法导入模块\nline two"),
    ]
    bad["training"]["epochs"][3]["loss"] = "nan"
    used = document("torch", 40.0, "cuda")
    used["checks"].append(
        check("gpu-diagnosis", "passed", "detection", data={"diagnosis": {"causes": [], "layers": []}})
    )
    old = document("tf1")
    old["throughput"] = [
        {"mode": mode, "batch": 128, "device": "cpu", "precision": "fp32", "images_per_second": rate, "iqr": 9.5}
        | {"windows": 5, "first_step_seconds": 0.03, "threads": 2}
        for mode, rate in (("train", 4008.1), ("infer", 7994.5))
    ]
    return [
        env("cpu-torch-2.13", "passed", "36 passed, 1 skipped", document=document("torch"), **built()),
        env("cpu-tf2-2.21", "failed", f"wrong: expected 1, {HOSTILE}", exit_code=1, document=bad, **built(612_000_000)),
        env("cpu-tf1-1.15", "passed", "36 passed, 1 skipped", document=old, **built()),
        env("gpu-torch-2.13", "passed", "37 passed", document=used, **built(4_100_000_000)),
        no_gpu("gpu-torch-2.11"),
        env("cpu-tf2-2.18", "error", "did not end within 600 s", exit_code=13, next_step="see its log; " + LONG[:200]),
        env("gpu-tf1-1.15", "skipped", "needs CUDA 10.0, of which no wheels exist", status="impossible"),
    ]


def result(envs: list[Json] | None = None, **more: Any) -> Json:
    cells = ["reference", "cpu-torch-2.13 (eager)", "cpu-tf2-2.21 (graph)"]
    sizes = {"logits": 3.3e-07, "gradients": 8.7e-07, "losses": 4.8e-07}
    pairs = [
        {"one": one, "two": two, "differences": sizes, "over": []}
        for one, two in ((cells[0], cells[1]), (cells[0], cells[2]), (cells[1], cells[2]))
    ]
    ratio = {"row": "cnn/train/eager/128/fp32/device", "ratio": 1.002, "low": 0.991, "high": 1.013}
    between = {"numerator": "cpu-torch-2.13 (docker)", "denominator": "cpu-torch-2.13 (venv)"}
    compared = {
        "measuring": "120 s",
        "engine": ENGINE,
        "host": HOST,
        "parity": {
            "cells": cells,
            "pairs": pairs,
            "largest": {name: [size, cells[0], cells[2]] for name, size in sizes.items()},
            "drifting": [],
        },
        "ratios": [
            {"name": "container / bare metal", **between, **ratio},
            {"name": "tf2 / torch", "numerator": "cpu-tf2-2.21", "denominator": "cpu-torch-2.13"}
            | {"row": "cnn/train/best/128/fp32/device", "ratio": 1.74, "low": 1.61, "high": 1.88},
        ],
    }
    return documents.result(*(every_ending() if envs is None else envs), **(compared | more))


def past(runs: int = 12, env: str = "cpu-torch-2.13") -> list[Json]:
    """History entries: steady, with one slow run."""
    return [
        {
            "env": env,
            "engine": "docker",
            "started": f"2026-11-{n + 1:02}T08:00:00+00:00",
            "outcome": "passed",
            "cpu": "Intel(R) Xeon(R) Platinum 8488C",
            "build": 60.0 + n if n % 3 == 0 else None,
            "run": 140.0 + n,
            "measuring": "120 s",
            "unpacked": 1_100_000_000 + n * 100_000,
            "accuracy": 0.98,
            "marks": [MARK] if n == 7 else [],
            "train": {"row": "cnn/train/channels_last/128/fp32/device"}
            | {key: stat(4400.0 + 30 * (n % 4) - (900 if n == 7 else 0))[key] for key in ("median", "low", "high")},
            "infer": {"row": "x"} | {key: stat(10800.0 + 50 * (n % 5))[key] for key in ("median", "low", "high")},
            "report": f"202611{n + 1:02}-080000-{100 + n}",
            "folder": f"reports/202611{n + 1:02}-080000-{100 + n}",
        }
        for n in range(runs)
    ]


@dataclass(frozen=True)
class Row:
    """A row of a comparison, as dlmatrix.comparison makes them."""

    env: str
    id: str
    figure: str
    verdict: str
    ratio: float
    low: float | None
    high: float | None
    floor: float
    reason: str


@dataclass(frozen=True)
class Compared:
    """What a comparison of two reports found."""

    env_differences: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]
    missing: tuple[Any, ...] = ()
    changes: tuple[Any, ...] = ()
    marks: tuple[tuple[str, str, str], ...] = ()


def comparison() -> Compared:
    """Every verdict, a row without an interval, a missing one, a mark, texts that mean harm."""
    name = "cnn/train/eager/128/fp32/device"
    infer, small, compiled = (
        name.replace(*words) for words in (("train", "infer"), ("128", "32"), ("eager", "compiled"))
    )
    rows = (
        Row("cpu-torch-2.13", name, "fastest", "SLOWER", 0.901, 0.888, 0.915, 0.02, "the whole interval is below 0.98"),
        Row("cpu-torch-2.13", infer, "median", "SAME", 1.001, 0.992, 1.009, 0.02, "within the floor"),
        Row("cpu-torch-2.13", small, "median", "FASTER", 1.2, 1.15, 1.24, 0.02, HOSTILE),
        Row("cpu-torch-2.13", compiled, "median", "UNCLEAR", 1.0, None, None, 0.02, "one process only"),
    )
    return Compared(
        env_differences=(("versions/torch", "2.13.0+cpu", HOSTILE), ("driver", "580.95.05", "575.57.08")),
        rows=rows,
        missing=(SimpleNamespace(env="cpu-torch-2.13", id=name.replace("128", "512"), reason="not enough memory"),),
        changes=(SimpleNamespace(env="cpu-torch-2.13", what="image", a=2.7e8, b=3.1e8, floor=0.01),),
        marks=(("B", "cpu-torch-2.13", MARK),),
    )
