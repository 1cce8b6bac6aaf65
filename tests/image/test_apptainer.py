"""An image of Docker's that a bundle carries becomes a SIF file, and Apptainer runs it as closed as Docker does."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.image.support import ROOT, Dlmatrix
from tests.image.tiny import NAME, add_tiny


@pytest.fixture(autouse=True)
def needs_apptainer() -> None:
    if not shutil.which("apptainer"):
        pytest.skip('there is no apptainer on this machine: .ci/apptainer install && eval "$(.ci/apptainer env)"')


def test_it_is_made_once_of_a_bundle_and_is_as_closed_as_on_docker(dlmatrix: Dlmatrix, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    add_tiny(checkout, tmp_path / "wheels")
    bundle, sif = tmp_path / "tiny.bundle", tmp_path / "sif"
    wheels = {"UV_FIND_LINKS": str(tmp_path / "wheels")}
    made = dlmatrix("bundle", NAME, "--no-wheels", "--out", str(bundle), cwd=checkout, **wheels)
    assert made.code == 0, made.err

    def run(report: str, *more: str, **changes: str) -> tuple[int, dict[str, object]]:
        words = ["--engine", "apptainer", "--sif", str(sif), "--report", str(tmp_path / report)]
        ran = dlmatrix("run", NAME, *words, *more, cwd=checkout, **changes)
        (env,) = json.loads((tmp_path / report / "result.json").read_text())["envs"]
        return ran.code, env

    code, env = run("none")
    assert (code, env["document"]) == (4, None)
    assert f"python -m dlmatrix bundle {NAME} --no-wheels" in str(env["next_step"])

    # It has no framework, so what needs one fails: the checks that look at the container itself do not.
    code, env = run("first", "--bundle", str(bundle))
    assert (code, env["built"]) == (1, True)
    code, env = run("again", APPTAINER_BIND="/etc/hostname:/srv/opened", APPTAINERENV_LD_PRELOAD="/opened.so")
    assert (code, env["built"]) == (1, False)
    checks = {check["id"]: check for check in env["document"]["checks"]}  # type: ignore[index]
    assert checks["hermetic"]["outcome"] == "passed", checks["hermetic"]
    assert checks["imports"]["outcome"] == "failed"
    assert [file.suffix for file in sorted(sif.iterdir())] == [".lock", ".sif"]

    (checkout / "smoke" / "more.py").write_text("# the checks of another state of the checkout\n")
    code, env = run("old")
    assert code == 4
    assert "its labels are not those of this state of the checkout" in str(env["reason"])
