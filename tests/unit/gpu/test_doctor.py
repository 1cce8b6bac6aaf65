"""The doctor's path from facts to exit code, with the facts and the engine's answer given."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dlmatrix.cli.doctor import doctor
from dlmatrix.cli.verbs import make_parser
from dlmatrix.errors import EngineError, UsageError
from dlmatrix.gpu import doctor as module
from dlmatrix.gpu.diagnosis import diagnose
from dlmatrix.gpu.doctor import detect
from dlmatrix.gpu.examination import Started
from dlmatrix.gpu.gate import Gpu
from dlmatrix.gpu.instead import Instead, machine_of
from dlmatrix.gpu.show import show

OK = {"status": "ok"}
NO_GPU: dict[str, Any] = {"kernel": {"pci": {"readable": True, "gpus": []}, "nodes": {}}, "framework": None}
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
        "witness": OK,
    },
    "cuda": {"init": {"code": 0}, "count": 1, "version": 12080, "devices": [{"context": {"code": 0}}], "witness": OK},
    "framework": None,
}
CPU_WHEEL = {
    **GPU,
    "framework": {"name": "torch", "version": "2.13.0+cpu", "built_cuda": None, "count": 0, "witness": OK},
}
REFUSAL = 'could not select device driver "" with capabilities: [[gpu]]'


def answer(**changes: Any) -> Started:
    return Started(
        **{"error": "", "stdout": b"", "system": "Debian GNU/Linux 12", "folder": "/var/lib/docker", **changes}
    )


def run(monkeypatch: pytest.MonkeyPatch, host: Any, answered: Any, *arguments: str) -> int:
    """The doctor's exit code on a machine of which `host` is seen and whose engine answers `answered`."""

    def start(_image: str, _arguments: Sequence[str]) -> Started | None:
        if isinstance(answered, Exception):
            raise answered
        return answered  # type: ignore[no-any-return]

    monkeypatch.setattr(module, "detect", lambda *_: host)
    options = vars(make_parser().parse_args(["doctor", *arguments]))
    assert options.pop("verb") is doctor
    return doctor(**options, start=start)


NOT_THERE = EngineError("no Docker engine answers", "start one")
SEEN = answer(stdout=json.dumps(GPU).encode())


@pytest.mark.parametrize(
    "case",  # what the host shows, what the engine answers, arguments, exit code, words
    [
        (GPU, SEEN, ["gpu-torch"], 0, "the GPU can be used"),
        (GPU, NOT_THERE, [], 0, "the GPU can be used"),
        (NO_GPU, NOT_THERE, [], 20, "NO_GPU"),
        (NO_GPU, None, ["gpu-torch"], 20, "has not been built"),
        (GPU, answer(error=REFUSAL), ["gpu-torch"], 21, "TOOLKIT_MISSING"),
        (GPU, answer(error=REFUSAL, system="Docker Desktop"), ["gpu-torch"], 21, "WRONG_DOCKER"),
        (GPU, answer(error="nobody has seen this"), ["gpu-torch"], 21, "nobody has seen this"),
        (GPU, answer(stdout=json.dumps(CPU_WHEEL).encode()), ["cpu-torch"], 21, "TORCH_CPU_WHEEL"),
        (GPU, NOT_THERE, ["gpu-torch"], 22, "no Docker engine answers; start one"),
        (GPU, NOT_THERE, ["--engine", "docker"], 22, "no Docker engine answers"),
        (GPU, None, ["gpu-torch"], 22, "has not been built"),
        (GPU, answer(stdout=b"Segmentation fault"), ["gpu-torch"], 22, "wrote no document"),
        (None, NOT_THERE, [], 22, "could not look"),
    ],
)
def test_exit_code_and_cause(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[Any, Any, list[str], int, str],
) -> None:
    host, answered, arguments, code, words = case
    assert run(monkeypatch, host, answered, *arguments) == code
    assert words in capsys.readouterr().out


def test_json_carries_facts_causes_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, GPU, answer(error=REFUSAL), "gpu-torch", "--json") == 21
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert told["exit_code"] == 21
    assert told["headline"].startswith("TOOLKIT_MISSING: ")
    assert [cause["label"] for cause in told["causes"]] == ["TOOLKIT_MISSING"]
    assert told["launch"]["error"] == REFUSAL
    assert told["facts"]["host"] == GPU
    assert all(name.startswith("gpu-") for name in told["would_work"])


def test_without_a_gpu_only_cpu_envs_are_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, NO_GPU, None, "gpu-tf2", "--json")
    suggested = json.loads(capsys.readouterr().out)["would_work"]
    assert suggested[0].startswith("cpu-tf2")
    assert all(name.startswith("cpu-") for name in suggested)


def test_on_an_old_driver_the_envs_that_it_can_run_are_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    host = json.loads(json.dumps(GPU).replace("570.124.06", "535.183.01").replace("12080", "12020"))
    torch = {"name": "torch", "version": "2.13.0+cu130", "built_cuda": "13.0", "count": 0, "witness": OK}
    inside = {**host, "framework": torch}
    assert run(monkeypatch, host, answer(stdout=json.dumps(inside).encode()), "gpu-torch-2.13", "--json") == 21
    told = json.loads(capsys.readouterr().out)
    assert [cause["label"] for cause in told["causes"]] == ["DRIVER_TOO_OLD"]
    assert told["would_work"][0].startswith("gpu-torch-2.")
    assert not {"gpu-torch-2.11", "gpu-torch-2.13", "gpu-torch-2.15"} & set(told["would_work"])  # CUDA 13


def instead_of(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], Any]:
    told = json.loads(capsys.readouterr().out)
    return told["would_work"], told["would_work_engine"]


def test_where_only_the_container_start_is_broken_the_same_env_runs_in_a_venv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, GPU, answer(error=REFUSAL), "gpu-torch-2.9", "--json")
    envs, engine = instead_of(capsys)
    assert (envs[0], engine) == ("gpu-torch-2.9", "venv")
    assert all(name.startswith("gpu-") for name in envs)


@pytest.mark.parametrize("error", ["unsatisfied condition: cuda>=13.0, please update your driver"])
def test_an_image_that_needs_a_newer_driver_has_older_ones_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: str
) -> None:
    run(monkeypatch, GPU, answer(error=error), "gpu-torch-2.13", "--json")
    envs, engine = instead_of(capsys)
    assert engine is None
    assert envs[0].startswith("gpu-torch-2.")
    assert not {"gpu-torch-2.11", "gpu-torch-2.13", "gpu-torch-2.15"} & set(envs)


@pytest.mark.parametrize(
    ("cuda", "cause"),
    [(802, "FABRIC_NOT_READY"), (3, "MIG_NO_INSTANCE"), (999, "UVM_MISSING"), (2, "ADDRESS_SPACE_LIMIT")],
)
def test_where_no_gpu_env_can_run_none_is_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cuda: int, cause: str
) -> None:
    host = json.loads(json.dumps(GPU))
    host["cuda"] = {"init": {"code": cuda}, "witness": OK}
    device = host["nvml"]["devices"][0]
    device |= {"fabric": {"state": 2 if cuda == 802 else 0}, "mig": {"enabled": cuda == 3, "instances": []}}
    host["kernel"]["nodes"]["/dev/nvidia0"] = {"present": True, "open": "ok", "mode": "0666"}
    host["kernel"]["limits"] = {"address_space": {"soft": 12 << 30}} if cuda == 2 else {}
    run(monkeypatch, host, NOT_THERE, "gpu-torch", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["causes"][0]["label"] == cause
    assert all(name.startswith("cpu-") for name in told["would_work"])
    assert told["would_work"]


def test_without_an_engine_the_env_runs_in_a_venv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, GPU, NOT_THERE, "gpu-torch-2.9", "--json")
    assert instead_of(capsys)[1] == "venv"
    run(monkeypatch, GPU, NOT_THERE, "gpu-torch-2.9")
    assert "gpu-torch-2.9, " in capsys.readouterr().out


def test_the_host_s_framework_is_shown_the_gpus_that_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []

    def note(*arguments: Any) -> Any:
        given.append(arguments[-1])
        return GPU

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(module, "detect", note)
    for words in (["--gpus", "1"], ["--gpus", "none"], []):
        options = vars(make_parser().parse_args(["doctor", "--engine", "host", *words]))
        del options["verb"]
        doctor(**options)
    assert given == [{"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_VISIBLE_DEVICES": ""}, {}]
    assert capsys.readouterr().out


def test_detection_sees_the_variables_that_it_is_given(root: Path) -> None:
    facts = detect(root, Path(sys.executable), None, None, {"CUDA_VISIBLE_DEVICES": "1"})
    assert facts
    assert facts["kernel"]["variables"]["CUDA_VISIBLE_DEVICES"] == "1"


def test_python_needs_engine_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--engine host"):
        run(monkeypatch, GPU, None, "--python", sys.executable)


def test_a_name_of_no_env_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="gpu-torhc"):
        run(monkeypatch, GPU, None, "gpu-torhc")


def test_an_interpreter_that_cannot_run_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not-python cannot be run"):
        detect(root, tmp_path / "not-python", None)


def test_detection_runs_in_a_process_of_its_own_and_answers(root: Path) -> None:
    facts = detect(root, Path(sys.executable), None)
    assert facts is not None
    assert facts["kernel"]["witness"]["status"] == "ok"
    assert {"nvml", "cuda", "framework"} <= set(facts)
    assert diagnose(facts).verdict in ("usable", "no-gpu", "unusable")


def test_the_machine_for_the_compatibility_table() -> None:
    machine = machine_of(GPU)
    assert machine.driver == "570.124.06"
    assert machine.gpus == (Gpu(name="NVIDIA A100-SXM4-40GB", capability="8.0"),)
    assert machine_of(None).gpus == ()


def test_marks_are_plain_where_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = module.Examination(
        env=None, engine="host", host=NO_GPU, inside=None, launch=None,
        diagnosis=diagnose(NO_GPU), unreached="", asked=False,
    )  # fmt: skip
    monkeypatch.setattr(Console, "encoding", "ascii")
    out = StringIO()
    show(examination, Instead(), Console(file=out, width=120))
    assert "x hardware" in out.getvalue()


def test_the_framework_s_file_and_its_user_s_settings_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, Any] = {"file": "/home/a/.local/torch/__init__.py"}
    told |= {"settings": {"KERAS_BACKEND": "jax", "/h/.keras.json": "x y"}, "copies": {"shadowed": ["torch 1 in /b"]}}
    seen = {**CPU_WHEEL, "framework": {**CPU_WHEEL["framework"], **told}}
    run(monkeypatch, seen, NOT_THERE, "--engine", "host", "--python", sys.executable)
    lines = " ".join(capsys.readouterr().out.split())
    assert "torch 2.13.0+cpu comes from /home/a/.local/torch/__init__.py" in lines
    assert "not used: torch 1 in /b" in lines
    assert "set for the framework, and not by it: KERAS_BACKEND=jax, /h/.keras.json x y" in lines


def test_an_interpreter_is_named_from_where_its_user_stands(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").write_text("#!/bin/sh\necho '{\"kernel\": {}}'\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert "kernel" in (detect(root, Path("mine"), None) or {})
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir("/")
    assert "kernel" in (detect(root, Path("mine"), None) or {})
