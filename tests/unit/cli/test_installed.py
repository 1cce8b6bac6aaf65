"""The wheel, in an environment that holds nothing else, called where no checkout is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv

from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.site import index_config, read_site, uv_environment
from tests.unit.reports import TRAIN, env, processes, result, row, seeded, write

pytestmark = pytest.mark.network
CARRIED = ("Makefile", "docker", "envs", "noxfile.py", "smoke")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder and a home in which nothing is."""

    python: Path
    folder: Path
    home: Path

    def __call__(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
        """Run the command: exit code, stdout, stderr."""
        kept = {name: os.environ[name] for name in ("PATH", "DOCKER_HOST")}
        command = [str(self.python.with_name("dlmatrix")), *arguments]
        environ = kept | {"HOME": str(self.home)}
        done = subprocess.run(command, cwd=cwd or self.folder, env=environ, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    @property
    def data(self) -> Path:
        """What the wheel carries beside the package."""
        (found,) = self.python.parents[1].glob("lib/python*/site-packages/dlmatrix/data")
        return found


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed")
    site, config, made = read_site(os.environ), folder / "uv.toml", folder / "venv" / "bin" / "python"
    config.write_text(index_config(site), encoding="utf-8")
    tool, environ = [uv.find_uv_bin(), "--quiet", "--config-file", str(config)], uv_environment(site, os.environ)
    subprocess.run([*tool, "build", "--wheel", "--out-dir", str(folder), str(root)], env=environ, check=True)
    subprocess.run([*tool, "venv", "--python", sys.executable, str(folder / "venv")], env=environ, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*tool, "pip", "install", "--python", str(made), str(wheel)], env=environ, check=True)
    return made


@pytest.fixture
def installed(python: Path, tmp_path: Path) -> Installed:
    for name in ("empty", "home"):
        (tmp_path / name).mkdir()
    return Installed(python, tmp_path / "empty", tmp_path / "home")


def files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for name in CARRIED
        for file in (folder / name, *(folder / name).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_it_carries_what_a_checkout_has_and_nothing_else(root: Path, installed: Installed) -> None:
    assert files(installed.data) == files(root)
    assert sorted(path.name for path in installed.data.iterdir()) == sorted(CARRIED)
    assert os.access(installed.data / "docker" / "make-base", os.X_OK)


def test_list_and_plan_answer_and_write_nothing(matrix: Matrix, installed: Installed) -> None:
    code, out, err = installed("list", "--json")
    assert (code, err) == (0, "")
    assert [cell["name"] for cell in json.loads(out)] == [env.name for env in matrix.envs]
    code, out, err = installed("plan", "cpu-torch-2.13")
    assert (code, err) == (0, "")
    assert f"--file {installed.data}/docker/Dockerfile" in out
    assert f"uv={installed.home}/.local/state/dlmatrix/installed/uv-" in out
    assert [*installed.folder.iterdir(), *installed.home.iterdir()] == []


def test_doctor_finds_what_it_finds_from_a_checkout(
    installed: Installed, checkout: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = installed("doctor", "--json")
    told = json.loads(out)
    assert (code, err) == (told["exit_code"], "")
    assert (told["verdict"], told["causes"]) == (
        (here := json.loads(cli("doctor", "--json")[1]))["verdict"],
        here["causes"],
    )
    assert told["facts"]["host"]["kernel"]["witness"]["status"] == "ok"
    assert [*installed.folder.iterdir(), *installed.home.iterdir()] == []


def test_compare_compares(installed: Installed) -> None:
    for name in ("a", "b"):
        rows = [row(TRAIN, processes(3500, seeded(name), spread=0.004))]
        write(installed.folder / name, result(env(rows=rows)))
    code, out, err = installed("compare", "a", "b")
    assert (code, err) == (0, "")
    assert "cpu-torch-2.13: SAME" in out


def test_run_writes_into_the_current_folder_and_the_users_state_and_page_writes_it_again(
    installed: Installed, script: Callable[..., Path]
) -> None:
    before = files(installed.data)
    code, out, err = installed("run", "cpu-torch-2.13", "--engine", "host", "--python", str(script("exit 0")))
    assert (code, err) == (11, "")
    (report,) = installed.folder.glob("reports/2*")
    assert f"report: {report}" in out
    assert len(list((installed.folder / "reports" / "history").iterdir())) == 1
    state = installed.home / ".local" / "state" / "dlmatrix" / "installed"
    assert [path.name for path in state.iterdir()] == ["busy"]
    (report / "report.html").unlink()
    assert installed("page", str(report))[0] == 0
    assert (report / "report.html").is_file()
    assert files(installed.data) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["lock", "cpu-torch-2.13", "--write"],
        ["lock", "tools"],
        ["pin", "--write"],
        ["record", "a"],
        ["reproduce", "cpu-torch-2.13", "--write"],
    ],
)
def test_what_changes_a_checkout_says_that_it_needs_one(installed: Installed, arguments: list[str]) -> None:
    code, out, err = installed(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("dlmatrix: this changes files of a checkout, and here is none")
    assert err.count("\n") == 2


def test_a_checkout_wins_where_one_stands_in_it(installed: Installed, checkout: Path) -> None:
    assert f"--file {checkout}/docker/Dockerfile" in installed("plan", "cpu-torch-2.13", cwd=checkout)[1]
