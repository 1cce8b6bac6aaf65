"""docs/matrix.md: rows from reports, every cell listed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import ConfigError, ReportError, UsageError
from dlmatrix.matrix.load import load_matrix, select
from dlmatrix.matrix.model import Matrix
from dlmatrix.upkeep.measured import markdown, record
from tests.unit import reports


def write_report(folder: Path, started: str, built: bool = True, engine: str = "docker") -> Path:
    closure = {"id": "library-closure", "outcome": "passed", "found": {"objects": 122}}
    env = reports.env(
        "gpu-torch-2.11",
        outcome="skipped",
        reason="passed on the CPU; NO_GPU: no NVIDIA GPU | here",
        built=built,
        facts={"compressed_bytes": 2_611_029_688},
        seconds={"prepare": 159.1 if built else 0.2, "run": 41.6},
        document={"training": {"test_accuracy": 0.98888}, "checks": [closure]},
    )
    about = {"engine": engine, "version": "28.5.2", "cpus": "2", "memory": str(24 << 30)}
    return reports.write(folder, reports.result(env, started=started, engine=about))


@pytest.fixture
def checkout(matrix: Matrix, tmp_path: Path) -> Matrix:
    (tmp_path / "docs").mkdir()
    shutil.copy(matrix.root / "docs" / "matrix.md", tmp_path / "docs")
    return replace(matrix, root=tmp_path)


def row(checkout: Matrix) -> str:
    lines = (checkout.root / "docs" / "matrix.md").read_text().splitlines()
    return next(line for line in lines if line.startswith("| gpu-torch-2.11 "))


def test_a_row_from_a_report(checkout: Matrix, tmp_path: Path) -> None:
    assert record(checkout, [write_report(tmp_path / "r", "2026-11-24T08:55:22+00:00")]) == ["gpu-torch-2.11"]
    assert row(checkout) == (
        "| gpu-torch-2.11 | skipped: passed on the CPU; NO_GPU: no NVIDIA GPU / here | 2,611 MB | 159 s | 42 s "
        "| 0.989 | 122 objects, passed | 2026-11-24 |"
    )
    assert "Measured on: Docker 28.5.2, 2 CPUs, 24 GiB." in (checkout.root / "docs" / "matrix.md").read_text()


def test_the_newest_row_stays_and_keeps_the_last_build(checkout: Matrix, tmp_path: Path) -> None:
    record(checkout, [write_report(tmp_path / "a", "2026-11-24T08:00:00+00:00")])
    record(checkout, [write_report(tmp_path / "b", "2026-11-25T08:00:00+00:00", built=False)])
    assert "| 159 s |" in row(checkout)
    assert row(checkout).endswith("| 2026-11-25 |")
    assert record(checkout, [tmp_path / "a"]) == []
    assert row(checkout).endswith("| 2026-11-25 |")


def test_a_run_that_came_to_no_result_takes_nobody_s_place(checkout: Matrix, tmp_path: Path) -> None:
    record(checkout, [write_report(tmp_path / "a", "2026-11-24T08:00:00+00:00")])
    broken = reports.env("gpu-torch-2.11", outcome="error", reason="the engine went away", built=False)
    about = {"engine": "docker", "version": "28.5.2", "cpus": "2", "memory": str(24 << 30)}
    report = reports.write(tmp_path / "b", reports.result(broken, started="2026-11-25T08:00:00+00:00", engine=about))
    assert record(checkout, [report]) == []
    assert row(checkout).endswith("| 2026-11-24 |")


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_the_first_passing_run_removes_the_mark(root: Path, tmp_path: Path, outcome: str) -> None:
    for folder in ("docs", "envs"):
        shutil.copytree(root / folder, tmp_path / folder)
    report = write_report(tmp_path / "r", "2026-11-24T08:55:22+00:00")
    text = (report / "result.json").read_text()
    text = text.replace('"gpu-torch-2.11"', '"cpu-torch-2.6"').replace(
        '"outcome": "skipped"', f'"outcome": "{outcome}"'
    )
    (report / "result.json").write_text(text)
    record(load_matrix(tmp_path), [report])
    (env,) = select(load_matrix(tmp_path), ["cpu-torch-2.6"])
    before = (root / "envs" / "torch-2.6.toml").read_text().splitlines()
    now = (tmp_path / "envs" / "torch-2.6.toml").read_text().splitlines()
    gone = [line.split(" = ")[0] for line in before if line not in now]
    assert (env.status.value, gone) == (
        ("supported", ["status", "reason"]) if outcome == "passed" else ("unverified", [])
    )
    mark = "(unverified) " if outcome == "failed" else ""
    assert f"| cpu-torch-2.6 {mark}| {outcome}" in (tmp_path / "docs" / "matrix.md").read_text()


def test_every_cell_is_listed(matrix: Matrix) -> None:
    lines = markdown(matrix, {}).splitlines()
    assert len([line for line in lines if line.startswith(("| cpu-", "| gpu-"))]) == len(matrix.envs)
    assert "| gpu-tf1-1.15 | impossible: needs CUDA 10.0" in "\n".join(lines)


def test_other_engines_do_not_count(checkout: Matrix, tmp_path: Path) -> None:
    assert record(checkout, [write_report(tmp_path / "r", "2026-11-24T08:55:22+00:00", engine="venv")]) == []


def test_what_is_no_report(checkout: Matrix, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no result\.json"):
        record(checkout, [tmp_path])


@pytest.mark.parametrize(
    "odd",
    [
        {"training": {"test_accuracy": "high"}},
        {"checks": [{"id": "library-closure", "outcome": "passed", "found": {"things": 1}}]},
        {"checks": [{"id": "library-closure", "outcome": "passed", "found": None}]},
    ],
)
def test_a_document_of_which_no_row_can_be_made_is_refused(checkout: Matrix, tmp_path: Path, odd: Any) -> None:
    folder = write_report(tmp_path / "r", "2026-11-24T08:55:22+00:00")
    data = json.loads((folder / "result.json").read_text())
    data["envs"][0]["document"] |= odd
    (folder / "result.json").write_text(json.dumps(data))
    with pytest.raises(ReportError, match="what its checks found cannot be told") as refused:
        record(checkout, [folder])
    assert refused.value.next_step
    assert not (checkout.root / "docs" / "measured.json").exists()


def test_a_page_without_marks(checkout: Matrix, tmp_path: Path) -> None:
    page = checkout.root / "docs" / "matrix.md"
    page.write_text(page.read_text().replace("<!-- end of measured -->", ""))
    with pytest.raises(ConfigError, match="marks of the table are missing"):
        record(checkout, [write_report(tmp_path / "r", "2026-11-24T08:55:22+00:00")])
    assert not (checkout.root / "docs" / "measured.json").exists()


def test_the_committed_page_is_what_its_data_say(matrix: Matrix) -> None:
    rows = json.loads((matrix.root / "docs" / "measured.json").read_text())
    assert markdown(matrix, rows) in (matrix.root / "docs" / "matrix.md").read_text()
