"""The fewest packages that matter, and in which order they are tried."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.errors import UsageError
from dlmatrix.guides.at_hand import as_written
from dlmatrix.guides.branches import other_branches
from dlmatrix.guides.classify import ONLY_GPU
from dlmatrix.guides.dates import caps, fewest, held_to, named_first
from dlmatrix.guides.model import Step
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.steps import read_steps
from dlmatrix.matrix.model import Matrix
from tests.unit.guides.worlds import PYTHON, setting, wheel

NAMES = [f"p{number}" for number in range(22)]


@pytest.mark.parametrize("needed", [{"p0"}, {"p13"}, {"p3", "p17"}, {"p1", "p2", "p21"}])
def test_the_fewest_that_work_are_found(needed: set[str]) -> None:
    tried: list[Sequence[str]] = []

    def works(names: Sequence[str]) -> bool:
        tried.append(names)
        return needed <= set(names)

    assert set(fewest(NAMES, works)) == needed
    if len(needed) == 1:
        assert len(tried) <= 12


def test_what_a_traceback_leads_through_is_first() -> None:
    said = (
        'File "…/site-packages/tensorflow/x.py", line 1\nFile "…/site-packages/google_pb/y.py", line 2\nTypeError: no'
    )
    assert named_first(["numpy", "tensorflow", "google-pb"], said) == ["google-pb", "tensorflow", "numpy"]


def test_a_cap_keeps_the_series() -> None:
    assert caps({"protobuf": "3.20.3", "numpy": "1.26.4", "x": "2"}) == ["protobuf<3.21", "numpy<1.27", "x<2.1"]


def test_other_branches_are_resolved_and_what_asks_elsewhere_is_not_asked(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "index"
    wheel(folder, "alpha_gpu", "2.0", "")
    (folder / "alpha_gpu").rename(folder / "alpha-gpu")
    steps = [
        Step(text="pip install alpha", kind="install", line=1),
        Step(text="pip install alpha-gpu", kind="other branch", line=2),
        Step(text="pip install beta-gpu", kind="other branch", line=3),
        Step(text="pip install alpha", kind="other branch", line=4),
        Step(text="pip install -i https://cuda.example/simple alpha-cu118", kind="other branch", line=5),
        Step(text="nvidia-smi", kind="other branch", line=6),
        Step(text="pip install alpha-gpu==2.0", kind="gpu", line=7, why=ONLY_GPU),
    ]
    found = list(other_branches(setting(root, folder, []), steps, PYTHON))
    assert [(one.line, one.works) for one in found] == [(2, True), (3, False), (5, None), (7, True)]
    assert found[0].words == "alpha-gpu 2.0; 1 packages"


def test_a_day_on_which_the_index_had_nothing_is_said(tmp_path: Path, root: Path) -> None:
    wheel(tmp_path / "index", "alpha", "1.0", "")  # a folder tells no day of anything
    steps = [Step(text="pip install alpha", kind="install", line=1)]
    with pytest.raises(UsageError, match="--date 2020-01-01: the index had no wheels of alpha for Python"):
        held_to(setting(root, tmp_path / "index", []), steps, PYTHON, "2020-01-01")


@pytest.mark.usefixtures("contained")
def test_an_env_of_the_matrix_runs_its_programs_as_written(checkout: Path, tmp_path: Path, matrix: Matrix) -> None:
    newer, older = [
        replace(env, python=PYTHON) for env in matrix.envs if env.series == "torch" and env.variant == "cpu"
    ][:2]
    for env, code in ((newer, "def two(): raise RuntimeError('no longer')"), (older, "def two(): return 2")):
        venv = checkout / ".dlmatrix" / "venvs" / env.name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        (venv / "lib" / f"python{PYTHON}" / "site-packages" / "torch.py").write_text(code, encoding="utf-8")
    (tmp_path / "a.md").write_text("```python\nimport torch\nprint(torch.two())\n# 2\n```\n", encoding="utf-8")
    guide = read_guide(tmp_path / "a.md")
    found = list(as_written(setting(checkout, None, []), guide, read_steps(guide).steps, (newer, older, *matrix.envs)))
    assert [(one.env, one.works) for one in found[:2]] == [(newer.name, False), (older.name, True)]
    assert found[0].words == "broken at line 3: RuntimeError: no longer"


def test_a_day_is_a_day(cli: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x", encoding="utf-8")
    assert cli("replay", str(tmp_path / "a.md"), "--date", "last May")[0] == 2
