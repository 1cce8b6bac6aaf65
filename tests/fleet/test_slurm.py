"""A real Slurm of seven nodes on the loopback, each with another fault; about a minute. It needs root and Slurm."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dlmatrix.errors import EngineError, UsageError
from dlmatrix.fleet import record
from dlmatrix.fleet.drive import carry_on
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.slurm import cluster, programs
from dlmatrix.fleet.slurm.cluster import Cluster
from dlmatrix.system.checkout import find_root
from tests.unit.documents import env, result

ROOT = find_root(Path(__file__).parent)
LAB = ROOT / ".ci" / "slurm"
#: What runs on a node in place of the checks; what it does is its name's.
CHECKS = """\
import os, pathlib, shutil, sys, time
shared, folder, node = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), os.environ["SLURMD_NODENAME"]
print("gpus", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
mended = (shared / "mended").exists()
if node in ("n04", "n05") and not mended:
    time.sleep(3600)
if node == "n07":
    sys.exit("smoke: its GPU fell off the bus")
outcome = "failed" if node == "n06" else "passed"
(folder / "report").mkdir()
shutil.copy(shared / (outcome + ".json"), folder / "report" / "result.json")
sys.exit(outcome == "failed")
"""


class Lab:
    """The cluster, and a folder that all of its nodes see."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shared = folder / "slurm", folder / "shared"

    def ci(self, verb: str, *more: str) -> None:
        subprocess.run([LAB, verb, self.folder, *more], check=True, timeout=60)

    def cluster(self, run: Path) -> Cluster:
        command = ["{python}", "-c", CHECKS, str(self.shared), "{folder}"]
        return Cluster(run, self.shared, Order(command=command, limit=8), gpus=True, drain=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to start a Slurm")
    missing = [name for name in ("slurmctld", "slurmd", "sinfo", "munged") if not shutil.which(name)]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)} on this machine: .ci/slurm install")
    made = Lab(tmp_path_factory.mktemp("lab"))
    made.shared.mkdir()
    for outcome in ("passed", "failed"):
        (made.shared / f"{outcome}.json").write_text(json.dumps(result(env("gpu-torch-2.13", outcome))))
    os.environ["SLURM_CONF"] = str(made.folder / "etc" / "slurm.conf")
    try:
        made.ci("up", "7")
        on_all = ["srun", "--nodelist=n[01-07]", "--nodes=7", "true"]
        subprocess.run(on_all, check=True, timeout=60)
        yield made
    finally:
        made.ci("down")
        del os.environ["SLURM_CONF"]
    assert not made.folder.exists()
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(made.folder) in _told(p)]
    assert not left


def _told(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def test_each_fault_of_a_cluster_is_a_row_and_what_was_mended_is_finished(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_EVERY", 0.5)
    run = tmp_path / "R1"
    run.mkdir()
    names = programs.hostnames("n[01-07]")
    fleet = record.beginning("R1", "slurm", ["gpu-torch"], {}, [*names, "n99"])
    lab.ci("kill", "n02")
    assert not programs.update("n03", "drain", "ECC errors, ticket 17")
    first = lab.cluster(run)
    first.submit(fleet.machines, again=True)
    first.leave()  # as if it were killed: the jobs go on, and are begun once only
    submitted = {name: job.id for name, job in programs.jobs_named([f"dlmatrix-R1-{name}" for name in names]).items()}
    killed: list[str] = []

    def show(fleet: Fleet, changed: Mapping[str, Row]) -> None:
        if not killed and (row := changed.get("n04")) and row.state == "running" and "gpus" in row.step:
            killed.append("n04")
            lab.ci("kill", "n04")

    fleet = carry_on(run, fleet, lab.cluster(run), show)
    assert {name: job.id for name, job in programs.jobs_named(submitted).items()} == submitted
    found = {row.name: row for row in fleet.machines}
    assert {name: row.state for name, row in found.items()} == {
        "n01": "passed",
        "n02": "unavailable",
        "n03": "unavailable",
        "n04": "lost",
        "n05": "hung",
        "n06": "failed",
        "n07": "error",
        "n99": "unavailable",
    }
    assert found["n02"].said.startswith("down*: Not responding")
    assert found["n03"].said == "drained: ECC errors, ticket 17"
    assert found["n04"].said.startswith("Slurm: NODE_FAIL")
    assert found["n07"].said == "exit code 1: smoke: its GPU fell off the bus"
    assert found["n99"].said == "Slurm knows no such node"
    assert (run / "hosts" / "n06" / "result.json").is_file()
    assert (run / "hosts" / "n01" / "log").read_text() == "gpus 0,1\n"
    jobs = programs.jobs_named(submitted).values()
    assert not [job for job in jobs if job.state in ("PENDING", "RUNNING")]

    notes = programs.nodes_of(names)
    assert notes["n06"].reason == "dlmatrix: failed"
    assert notes["n03"].reason == "ECC errors, ticket 17"
    verdicts = {file.name: file.read_text().split()[0] for file in (lab.shared / "verdicts").iterdir()}
    assert verdicts == {"n01": "passed", "n05": "hung", "n06": "failed"}

    (lab.shared / "mended").touch()
    for name in ("n02", "n04"):
        lab.ci("node", name)
    assert not programs.update("n03", "resume")
    subprocess.run(["srun", "--nodelist=n02,n03,n04", "--nodes=3", "true"], check=True, timeout=60)
    fleet = carry_on(run, fleet, lab.cluster(run), show)
    found = {row.name: row for row in fleet.machines}
    assert [found[name].state for name in ("n01", "n02", "n03", "n04")] == ["passed"] * 4
    assert found["n04"].before == ("lost",)
    assert (found["n01"].attempts, found["n04"].attempts) == (1, 2)
    assert [found[name].state for name in ("n05", "n06", "n07")] == ["hung", "failed", "error"]


def test_the_example_of_a_health_check_touches_its_own_notes_only(lab: Lab) -> None:
    folder = lab.shared / "verdicts"
    folder.mkdir(exist_ok=True)

    def checked(node: str, verdict: str) -> str:
        (folder / node).write_text(verdict + "\n")
        environ = {**os.environ, "DLMATRIX_SHARED": str(lab.shared), "SLURMD_NODENAME": node}
        subprocess.run([ROOT / "docs" / "slurm-health"], check=True, env=environ, timeout=30)
        return programs.nodes_of([node])[node].reason

    assert checked("n01", "failed 2026-11-28T01:00:00+00:00 gpu-torch-2.13 parity") == (
        "dlmatrix: failed 2026-11-28T01:00:00+00:00 gpu-torch-2.13 parity"
    )
    assert checked("n01", "passed 2026-11-28T02:00:00+00:00 gpu-torch-2.13") == ""
    assert not programs.update("n01", "drain", "the operator's")
    assert checked("n01", "failed later") == "the operator's"
    assert checked("n01", "passed later") == "the operator's"
    assert not programs.update("n01", "resume")


def test_checks_are_ended_by_stop_and_begun_again_by_the_same_command(lab: Lab, tmp_path: Path) -> None:
    (lab.shared / "mended").unlink(missing_ok=True)
    run = tmp_path / "R2"
    run.mkdir()
    fleet = record.beginning("R2", "slurm", ["gpu-torch"], {}, ["n04"])
    carrier = lab.cluster(run)
    carrier.submit(fleet.machines, again=True)
    (row,) = fleet.machines
    while "gpus" not in row.step:
        row = carrier.look().get("n04", row)
        assert row.meaning.moving
    found = carrier.stop([row])
    assert (found["n04"].state, found["n04"].said) == ("lost", "ended by --stop")
    while programs.jobs_named(["dlmatrix-R2-n04"])["dlmatrix-R2-n04"].state == "COMPLETING":
        pass
    assert programs.jobs_named(["dlmatrix-R2-n04"])["dlmatrix-R2-n04"].state == "CANCELLED"
    (lab.shared / "mended").touch()
    (row,) = carry_on(run, fleet.with_rows(found), lab.cluster(run), lambda fleet, changed: None).machines
    assert (row.state, row.attempts) == ("passed", 2)


def test_a_limit_that_the_partition_does_not_allow_is_an_answer_and_no_wait(lab: Lab, tmp_path: Path) -> None:
    run = tmp_path / "R3"
    run.mkdir()
    fleet = record.beginning("R3", "slurm", ["gpu-torch"], {}, ["n01"])
    long = Cluster(run, lab.shared, Order(command=["true"], limit=7200), gpus=False)
    (row,) = carry_on(run, fleet, long, lambda fleet, changed: None).machines
    assert (row.words, row.said) == (
        "unavailable: Slurm's limits or rights do not allow its job",
        "Slurm: PartitionTimeLimit",
    )
    assert programs.jobs_named(["dlmatrix-R3-n01"])["dlmatrix-R3-n01"].state == "CANCELLED"


def test_nodes_that_slurm_does_not_understand_are_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="Slurm does not take this for nodes"):
        programs.hostnames("n[01-")


def test_a_controller_that_does_not_answer_is_the_engine_s_failure(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    file = lab.folder / "etc" / "away.conf"
    conf = (lab.folder / "etc" / "slurm.conf").read_text()
    file.write_text(re.sub("SlurmctldPort=.*", "SlurmctldPort=9", conf))
    monkeypatch.setenv("SLURM_CONF", str(file))
    monkeypatch.setattr(programs, "_PATIENCE", 5.0)
    with pytest.raises(EngineError) as failed:
        programs.nodes_of(["n01"])
    assert failed.value.next_step == "see whether Slurm answers: scontrol ping"
