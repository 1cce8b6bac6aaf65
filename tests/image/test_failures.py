"""What goes wrong on a real engine ends in one message, an exit code of its own, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.document.check import Outcome
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.site import read_site
from dlmatrix.run.course import run_all
from dlmatrix.run.outside import Outside
from tests.image.support import ROOT, Dlmatrix, change_lock, command, containers, environment, outcomes, plan_of

CELL = "cpu-torch-2.13"


def left_behind(client: Any, root: Path) -> list[str]:
    """Containers, temporary folders, half-written reports and builds that are still there."""
    scratch = [str(path) for path in (root / ".dlmatrix").glob("tmp-*")] if (root / ".dlmatrix").exists() else []
    reports = [str(path) for path in root.rglob(".*.[0-9]*-[0-9]*")]
    running = subprocess.run(["pgrep", "-f", f"buildx build.*{root}"], capture_output=True, text=True, check=False)
    return containers(client, root) + scratch + reports + running.stdout.split()


def test_a_wheel_that_is_not_the_locked_one_is_refused_and_named(
    dlmatrix: Dlmatrix, checkout: Path, client: Any
) -> None:
    lock = checkout / "envs" / "locks" / f"{CELL}.txt"
    text = lock.read_text()
    lock.write_text(re.sub(r"(torch==2\.13\.0\+cpu \\\n\s+--hash=sha256:)[0-9a-f]{64}", r"\g<1>" + "0" * 64, text))
    assert lock.read_text() != text
    ran = dlmatrix("run", CELL, "--engine", "docker", "--report", str(checkout / "report"), cwd=checkout)
    assert ran.code == 6, ran.out + ran.err
    assert "torch==2.13.0+cpu" in ran.out
    assert f"nox -s lock -- {CELL} --write" in ran.out
    assert left_behind(client, checkout) == []


def test_an_index_that_cannot_be_reached(dlmatrix: Dlmatrix, checkout: Path, client: Any) -> None:
    # Port 9: nothing listens there. Layers that were made once would be taken without asking any index.
    ran = dlmatrix(
        "run",
        CELL,
        "--engine",
        "docker",
        "--report",
        str(checkout / "report"),
        cwd=checkout,
        UV_DEFAULT_INDEX="http://127.0.0.1:9/simple",
        UV_CACHE_DIR=str(checkout / "downloads"),
        DLMATRIX_CACHE_DIR=str(checkout / "cache"),
    )
    if ran.code == 0:
        pytest.fail("the build used another index than the one that is configured")
    assert ran.code == 7, ran.out + ran.err
    assert "127.0.0.1:9" not in str(sorted((checkout / "report").glob("*.json")))
    assert left_behind(client, checkout) == []


def test_a_base_that_is_not_there(dlmatrix: Dlmatrix, checkout: Path, client: Any) -> None:
    bases = checkout / "envs" / "bases.toml"
    bases.write_text(
        re.sub(r'image = "python@sha256:[0-9a-f]{64}"', f'image = "python@sha256:{"0" * 64}"', bases.read_text())
    )
    ran = dlmatrix("run", CELL, "--bases", "official", "--report", str(checkout / "report"), cwd=checkout)
    assert ran.code == 8, ran.out + ran.err
    assert "python -m dlmatrix bases" in ran.out
    assert left_behind(client, checkout) == []


def test_a_framework_that_does_not_end_in_time(dlmatrix: Dlmatrix, tmp_path: Path, client: Any) -> None:
    ran = dlmatrix("run", CELL, "--timeout", "1", "--report", str(tmp_path / "report"))
    assert ran.code == 13, ran.out + ran.err
    assert outcomes(tmp_path / "report") == [(CELL, "error")]
    assert left_behind(client, ROOT) == []


@pytest.mark.parametrize("moment", ["#", "check"])
def test_ctrl_c_while_building_and_while_running(moment: str, checkout: Path, client: Any) -> None:
    """Interrupted at the first line of the build, and at the first check."""
    if moment == "#":
        change_lock(checkout, CELL)
    arguments = command("run", CELL, "--engine", "docker", "--report", str(checkout / "report"))
    with subprocess.Popen(
        arguments, cwd=checkout, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout
        for line in run.stdout:
            if moment in line or (moment == "#" and " plan " in line):
                run.send_signal(signal.SIGINT)
                break
        rest = run.stdout.read()
    assert run.returncode == 130, rest
    assert "Traceback" not in rest
    assert not (checkout / "report").exists()
    assert left_behind(client, checkout) == []


def test_two_runs_of_one_env_at_once(checkout: Path, client: Any, dlmatrix: Dlmatrix) -> None:
    arguments = command("run", CELL, "--engine", "docker", "--report", str(checkout / "first"))
    with subprocess.Popen(
        arguments, cwd=checkout, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        assert run.stdout
        next(line for line in run.stdout if " check " in line)
        second = dlmatrix("run", CELL, "--engine", "docker", "--report", str(checkout / "second"), cwd=checkout)
        rest = run.stdout.read()
    assert second.code == 10, second.out
    assert f"process {run.pid}" in second.out
    assert run.returncode == 0, rest
    assert left_behind(client, checkout) == []


def test_a_container_killed_for_memory(client: Any, checkout: Path) -> None:
    """With 96 MiB no framework can be imported: the kernel kills it, and the report says so."""
    engine = DockerEngine(client, read_site(os.environ), "auto")
    plan = plan_of(checkout, CELL)
    small = replace(plan, limits=replace(plan.limits, memory_bytes=96 << 20))
    (result,) = run_all(
        engine, [lambda: small], [plan.env], Outside(load_matrix(checkout)), lambda env, step, text: None
    )
    assert (result.outcome, result.exit_code) == (Outcome.ERROR, 14), result.reason
    assert "memory" in result.reason
    assert left_behind(client, checkout) == []


def test_a_build_that_would_fill_the_engine_s_disk_is_refused_before_it_starts(
    dlmatrix: Dlmatrix, checkout: Path, client: Any
) -> None:
    file = checkout / "envs" / "torch-2.13.toml"
    file.write_text(re.sub(r"size-budget-mb = \d+", "size-budget-mb = 999999", file.read_text()))
    change_lock(checkout, CELL)
    ran = dlmatrix("run", CELL, "--engine", "docker", "--report", str(checkout / "report"), cwd=checkout)
    assert ran.code == 9, ran.out + ran.err
    assert f"needs about {plan_of(checkout, CELL).disk_bytes / 1e9:.1f} GB" in ran.out
    assert left_behind(client, checkout) == []
