"""The parts of tests/gpu that need no GPU: the table of faults, the env that is chosen, what is expected, the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import ConfigError, UsageError
from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.matrix.model import Matrix
from tests.gpu.command import main
from tests.gpu.course import Course
from tests.gpu.faults import Fault, Row, judge, load
from tests.gpu.machine import Interpreter, Machine, choose, plan
from tests.gpu.page import page
from tests.gpu.stage import NotStagedError
from tests.gpu.transcript import Transcript
from tests.lab import scenario
from tests.unit.report.page import sample

FAULTS = {fault.name: fault for fault in load()}
UUIDS = ("GPU-1234aaaa-0000-0000-0000-000000000001", "GPU-1234abcd-0000-0000-0000-000000000002")


def card(uuid: str = UUIDS[0], **facts: Any) -> dict[str, Any]:
    healthy = {"memory": {"total": 80 << 30, "free": 79 << 30}, "processes": [], "compute_mode": 0,
               "compute_capability": [9, 0], "mig": {"enabled": False, "instances": []}}  # fmt: skip
    return {"name": "NVIDIA H100 80GB HBM3", "uuid": uuid, **healthy, **facts}


def machine(*cards: dict[str, Any], environ: Mapping[str, str] | None = None, path: str = "", **facts: Any) -> Machine:
    document = {"nvml": {"devices": list(cards) or [card()]}, **facts}
    interpreter = Interpreter(python=Path("python"), distributions={}, path=(path,))
    return Machine(view=View(document, place="host"), interpreter=interpreter, environ=environ or {})


def answer(verdict: str, causes: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    labels = {"causes": causes, "warnings": warnings}
    return {
        "verdict": verdict,
        **{kind: [{"label": name, "evidence": ["e"]} for name in names] for kind, names in labels.items()},
    }


@pytest.mark.parametrize("fault", [fault for fault in FAULTS.values() if fault.scenario], ids=lambda fault: fault.name)
def test_a_fault_and_its_scenario_in_the_lab_expect_the_same(fault: Fault) -> None:
    staged = scenario.load(fault.scenario)
    assert (fault.causes, fault.warnings) == (tuple(staged["causes"]), tuple(staged.get("warnings", ())))
    assert fault.verdict == staged.get("verdict", "unusable" if staged["causes"] else "usable")


def test_the_table_names_causes_of_the_catalogue_and_stages_something_in_each_row() -> None:
    labels = {row.label for row in catalogue().rows}
    healthy = Fault(name="", what="", verdict="")
    ways = set(Fault.__dataclass_fields__) - {"name", "what", "verdict", "causes", "warnings", "scenario", "framework"}
    for fault in FAULTS.values():
        assert {*fault.causes, *fault.warnings} <= labels, fault.name
        assert any(getattr(fault, way) != getattr(healthy, way) for way in ways), fault.name
    assert len(FAULTS) >= 32


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('varaibles = { A = "1" }', r"fault\.one\.varaibles: is not known; did you mean variables\?"),
        ('verdict = "healthy"', r"fault\.one\.verdict: must be usable or unusable, not 'healthy'"),
        ('verdict = "usable"\nframework = "jax"', r"fault\.one\.framework: must be one of any, torch"),
        ('verdict = "usable"\n[[fault]]\nname = "one"\nwhat = "x"\nverdict = "usable"', "one: is there twice"),
    ],
)
def test_a_table_that_is_not_understood_is_refused_by_key(line: str, said: str, tmp_path: Path) -> None:
    verdict = "" if "verdict" in line else 'verdict = "usable"\n'
    file = tmp_path / "faults.toml"
    file.write_text(f'[[fault]]\nname = "one"\nwhat = "x"\n{verdict}{line}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert re.search(said, f"{caught.value.message}; {caught.value.next_step}")


def test_only_the_very_answer_is_as_expected() -> None:
    fault = FAULTS["closed-uvm"]
    right = answer("unusable", ("DEVNODE_PERMISSION",))
    assert judge(fault, right, ()) == ("passed", "unusable DEVNODE_PERMISSION")
    two = answer("unusable", ("DEVNODE_PERMISSION", "UVM_STALE_AFTER_SUSPEND"))
    assert judge(fault, two, ()) == ("failed", "unusable DEVNODE_PERMISSION, UVM_STALE_AFTER_SUSPEND")
    assert judge(fault, answer("usable", ("DEVNODE_PERMISSION",)), ())[0] == "failed"
    assert judge(fault, answer("unusable"), ())[0] == "failed"
    assert judge(fault, {**right, "warnings": [{"label": "PCIE_DEGRADED"}]}, ())[0] == "failed"


def test_what_the_machine_has_anyhow_is_no_answer_to_a_fault() -> None:
    with_own = answer("usable", warnings=("SLOWING_VARIABLES", "PCIE_DEGRADED"))
    assert judge(FAULTS["launch-blocking"], with_own, {"PCIE_DEGRADED"}) == (
        "passed",
        "usable; warns SLOWING_VARIABLES",
    )
    # What is expected and was there before is found all the same.
    known = {"PCIE_DEGRADED", "SLOWING_VARIABLES"}
    assert judge(FAULTS["launch-blocking"], with_own, known)[0] == "passed"


@pytest.mark.parametrize(
    ("distributions", "env", "exact", "why"),
    [
        ({"torch": ["2.11.0+cu130"], "numpy": ["2.5.2"]}, "gpu-torch-2.11", True, ""),
        ({"tensorflow": ["2.15.1"]}, "gpu-tf2-2.15", True, ""),
        ({"tensorflow": ["2.18.1"], "torch": ["2.6.0"]}, "gpu-torch-2.6", True, ""),
        ({"tensorflow": ["2.18.1"], "torch": ["2.12.9"]}, "gpu-tf2-2.18", True, ""),
        ({"torch": ["2.12.9"]}, "gpu-torch-2.15", False, "torch 2.12.9 is installed, and the matrix has 1.13.1, "),
        ({"numpy": ["2.5.2"]}, "", False, "neither PyTorch nor TensorFlow is installed"),
    ],
)
def test_the_env_is_that_of_the_installed_version(
    matrix: Matrix, distributions: dict[str, list[str]], env: str, exact: bool, why: str
) -> None:
    choice = choose(matrix, distributions)
    assert (choice.env.name if choice.env else "", choice.exact) == (env, exact)
    assert choice.why.startswith(why)
    assert bool(choice.why) == (not exact)


def test_variables_name_gpus_of_this_machine(tmp_path: Path) -> None:
    two = machine(*map(card, UUIDS))
    assert plan(FAULTS["visible-beyond"], two, tmp_path)[1] == {"CUDA_VISIBLE_DEVICES": "8"}
    # The shortest beginning that the second GPU does not share.
    assert plan(FAULTS["visible-uuid-start"], two, tmp_path)[1] == {"CUDA_VISIBLE_DEVICES": "GPU-1234aa"}
    assert plan(FAULTS["visible-uuid-start"], machine(), tmp_path)[1] == {"CUDA_VISIBLE_DEVICES": "GPU-1234"}


@pytest.mark.parametrize(
    ("name", "where", "why"),
    [
        ("visible-twice", machine(environ={"CUDA_VISIBLE_DEVICES": "3"}), "a scheduler says which GPU"),
        ("visible-uuid-start", machine(card(mig={"enabled": True})), "divided into MIG devices"),
        ("memory-held", machine(card(processes=[{"pid": 4711}])), "others use a GPU"),
        ("memory-held", machine(card(memory={"total": 80 << 30, "free": 60 << 30})), "others use a GPU"),
        ("memory-held", machine(card(compute_mode=3)), "exclusive mode"),
        ("forced-jit", machine(framework={"arch_list": ["sm_80", "compute_80"]}), "has PTX that this card"),
        ("forced-jit", machine(), "not known for which cards"),
        ("empty-libcuda", machine(), "where the library of cuda lies"),
        ("empty-cudnn", machine(path="/nowhere"), r"no installed wheel has libcudnn\.so"),
    ],
)
def test_what_may_not_or_cannot_be_staged_says_why(name: str, where: Machine, why: str, tmp_path: Path) -> None:
    with pytest.raises(NotStagedError, match=why):
        plan(FAULTS[name], where, tmp_path)


def test_files_are_found_where_they_lie(tmp_path: Path) -> None:
    library = tmp_path / "nvidia" / "cudnn" / "lib" / "libcudnn.so.9"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"x")
    (library.parent / "libcudnn_ops.so.9").write_bytes(b"x")
    here = machine(path=str(tmp_path), cuda={"library": {"path": "/usr/lib/libcuda.so.580.1"}})
    assert plan(FAULTS["empty-cudnn"], here, tmp_path)[0].emptied == (str(library.resolve()),)
    assert plan(FAULTS["empty-libcuda"], here, tmp_path)[0].emptied == ("/usr/lib/libcuda.so.580.1",)
    hopper = machine(framework={"arch_list": ["sm_90", "compute_120"]})
    assert plan(FAULTS["forced-jit"], hopper, tmp_path)[1] == {"CUDA_FORCE_PTX_JIT": "1"}


def test_the_page_has_outcomes_and_rows_and_nothing_of_the_machine_alone(tmp_path: Path) -> None:
    rows = [
        Row(name="a", what="CUDA_VISIBLE_DEVICES=0,0", expected="unusable X", found="unusable X", outcome="passed"),
        Row(name="b", what="a | pipe", expected="usable", found="", outcome="skipped", reason="only root"),
    ]
    about = {"date": "2026-11-27", "cards": ["H100", "H100"], "driver": "580.159.04", "framework": "torch 2.11.0+cu130",
             "env": "gpu-torch-2.11", "python": "3.12.3"}  # fmt: skip
    with Transcript(tmp_path) as transcript:
        transcript.write(rows, about)
    used = sample.env("gpu-torch-2.11", "passed", "37 passed", document=sample.document("torch", 40.0, "cuda"))
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "result.json").write_text(json.dumps(sample.result([used])), encoding="utf-8")
    text = page([tmp_path])
    assert "## 2 × H100, driver 580.159.04, 2026-11-27\n\ntorch 2.11.0+cu130, Python 3.12.3, gpu-torch-2.11." in text  # noqa: RUF001
    assert "1 as expected, 0 not, 1 skipped." in text
    assert "| a / pipe | usable | - | skipped: only root | 0.0 |" in text
    assert "### gpu-torch-2.11: passed\n\nChecks: 36 passed, 1 skipped." in text
    rate = 303.8 * 40
    assert f"| resnet18 train, channels_last amp, batch 128 | {rate:,.0f} | " in text
    batches = "; ".join(f"cnn train, compiled, batch {batch}" for batch in (1, 32, 128, 512))
    assert f"Not measured: {batches}: torch.compile needs a C++ compiler, which this image has not." in text
    assert "Roof: matmul (2048x2048 float32) 1.7e+11 FLOP/s; " in text
    for secret in (str(tmp_path), sample.ENGINE["version"], sample.result()["host"]["kernel"], "GPU-"):
        assert secret not in text


@pytest.mark.parametrize(
    ("launch", "verdict", "expected"),
    [
        (None, "unknown", ("skipped", "no engine answers, or the image is not built")),
        (
            {"error": "could not select"},
            "unusable",
            ("skipped", "the engine starts no container with a GPU: unusable X"),
        ),
        ({"error": ""}, "unusable", ("failed", "")),
    ],
)
def test_a_container_counts_where_the_engine_starts_one(
    launch: dict[str, str] | None, verdict: str, expected: tuple[str, str], matrix: Matrix, tmp_path: Path
) -> None:
    class Answered(Course):
        def doctor(self, *_options: str, **_staged: Any) -> Any:
            return None, answer(verdict, ("X",)) | {"launch": launch, "unreached": "no engine"}

    with Transcript(tmp_path) as transcript:
        course = Answered(root=tmp_path, python=tmp_path, out=tmp_path, scratch=tmp_path, transcript=transcript)
        row = course.container(choose(matrix, {"torch": ["2.11.0"]}))
    assert (row.outcome, row.reason) == expected


def test_a_folder_of_something_else_makes_no_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no outcomes\.json"):
        page([tmp_path])


@pytest.mark.parametrize(
    ("python", "said"), [("/nowhere/python", "cannot be run"), ("true", "does not say what is installed for it")]
)
def test_what_is_no_interpreter_is_refused(
    python: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--python", python, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path} is there already\n"
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_of_the_host_side_it_says_how_to_get_them(root: Path) -> None:
    # -S: no installed package can be seen.
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tests.gpu"], capture_output=True, text=True, check=False, cwd=root, timeout=60,
        env={},
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"No module named '\w+': `make gpu-test` brings it; .*docs/development\.md\n", done.stderr)
