"""What Slurm's programs say, as values; recorded from 22.05. The real cluster is in tests/fleet/."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.errors import EngineError
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.slurm import cluster, programs
from dlmatrix.fleet.slurm.cluster import Cluster
from dlmatrix.fleet.slurm.programs import Node
from tests.unit.documents import env, result

Cli = Callable[..., tuple[int, str, str]]
SINFO = """\
n01|idle|gpu:h100:8(S:0-1),lustre:1|none
n01|idle|gpu:h100:8(S:0-1),lustre:1|none
n02|down*|gpu:2|Not responding
n03|drained|(null)|ECC errors | ticket 17
n04|mixed|gpu:a:1(S:0,2),gpu:b:1|none
"""


@pytest.fixture
def says(script: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let a program of Slurm's say something."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(cluster, "_EVERY", 0)
    monkeypatch.setattr(cluster, "_MOMENT", 0)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.txt").write_text(text)
        script(f"cat {tmp_path}/{name}.txt", f"bin/{name}")

    for name in ("sinfo", "squeue", "sbatch", "scancel", "scontrol"):
        write(name, "")
    return write


def test_nodes_with_their_gpus_and_why_they_are_closed(says: Callable[[str, str], None]) -> None:
    says("sinfo", SINFO)
    assert programs.nodes_of(["n01", "n02", "n03", "n04", "n05"]) == {
        "n01": Node(state="idle", gpus="gpu:h100:8", reason=""),
        "n02": Node(state="down*", gpus="gpu:2", reason="Not responding"),
        "n03": Node(state="drained", gpus="", reason="ECC errors | ticket 17"),
        "n04": Node(state="mixed", gpus="gpu:a:1,gpu:b:1", reason=""),
    }


def test_a_machine_of_no_cluster_is_no_fault_of_the_names(
    says: Callable[[str, str], None], script: Callable[..., Path]
) -> None:
    said = "scontrol: error: fetch_config: DNS SRV lookup failed"
    script(f"echo '{said}' >&2; exit 1", "bin/scontrol")
    with pytest.raises(EngineError, match="no configuration on this machine"):
        programs.hostnames("gpu[01-30]")


@pytest.mark.parametrize(
    ("state", "closed"),
    [
        ("idle", False),
        ("mixed-", False),
        ("idle~", False),
        ("idle*", False),
        ("down*", True),
        ("draining", True),
        ("down", True),
    ],
)
def test_a_node_on_which_no_job_starts_is_closed(state: str, closed: bool) -> None:
    assert Node(state=state, gpus="", reason="").closed is closed


def test_of_jobs_of_one_name_the_newest_counts(says: Callable[[str, str], None]) -> None:
    says("squeue", "9|a|FAILED|NonZeroExitCode\n10|a|RUNNING|None\n8|b|PENDING|(Resources)\n")
    found = programs.jobs_named(["a", "b"])
    assert (found["a"].id, found["a"].state, found["b"].reason) == ("10", "RUNNING", "(Resources)")


JOB = "dlmatrix-R-n01"


def submitted(tmp_path: Path, started: int = 0, **ended: object) -> Cluster:
    """A cluster of one node, whose checks were submitted; as often begun there as is said, and so ended."""
    folder = tmp_path / "shared" / "runs" / "R" / "n01"
    (tmp_path / "R").mkdir(exist_ok=True)
    carrier = Cluster(tmp_path / "R", tmp_path / "shared", Order(command=["x"], limit=60), gpus=False)
    carrier.submit([Row(name="n01")], again=True)
    if started:
        (folder / "started.json").write_text(json.dumps({"attempt": started}))
    if ended:
        (folder / "ended.json").write_text(json.dumps({"attempt": started, **ended}))
    return carrier


@pytest.mark.parametrize(
    ("squeue", "node", "started", "state", "said"),
    [
        (f"1|{JOB}|PENDING|Priority", "allocated", 0, "waiting", ""),
        (f"1|{JOB}|PENDING|ReqNodeNotAvail, May be reserved", "maint", 0, "unavailable", "maint"),
        # Not answering for a moment, which Slurm's reason outlives, is no answer: a node that is dead is soon down*.
        (f"1|{JOB}|PENDING|ReqNodeNotAvail, UnavailableNodes:n01", "idle*", 0, "waiting", ""),
        (f"1|{JOB}|PENDING|ReqNodeNotAvail, UnavailableNodes:n01", "idle", 0, "waiting", ""),
        (f"1|{JOB}|PENDING|ReqNodeNotAvail, UnavailableNodes:n01", "down*", 0, "unavailable", "down*"),
        (f"1|{JOB}|PENDING|PartitionTimeLimit", "idle*", 0, "unavailable", "Slurm: PartitionTimeLimit"),
        (
            f"1|{JOB}|PENDING|ReqNodeNotAvail, Reserved for maintenance",
            "idle",
            0,
            "unavailable",
            "ReqNodeNotAvail, Reserved for maintenance",
        ),
        (f"1|{JOB}|PENDING|PartitionTimeLimit", "idle", 0, "unavailable", "Slurm: PartitionTimeLimit"),
        (f"1|{JOB}|RUNNING|None", "allocated", 1, "running", ""),
        (f"1|{JOB}|TIMEOUT|TimeLimit", "idle", 1, "hung", "Slurm: TIMEOUT: TimeLimit"),
        (f"1|{JOB}|NODE_FAIL|NodeDown", "down*", 1, "lost", "Slurm: NODE_FAIL: NodeDown"),
        (f"1|{JOB}|NODE_FAIL|NodeDown", "down*", 0, "unavailable", "down*"),
        (f"1|{JOB}|CANCELLED|None", "idle", 1, "lost", "Slurm: CANCELLED: None"),
        (f"1|{JOB}|FAILED|NonZeroExitCode", "idle", 1, "error", "Slurm: FAILED: NonZeroExitCode"),
        (f"1|{JOB}|FAILED|NonZeroExitCode", "idle", 0, "error", "Slurm: FAILED: NonZeroExitCode"),
        ("", "idle", 1, "lost", "Slurm does not know its job any more"),
    ],
)
def test_how_a_node_stands_by_what_slurm_says(
    says: Callable[[str, str], None], tmp_path: Path, *, squeue: str, node: str, started: int, state: str, said: str
) -> None:
    says("sinfo", f"n01|{node}|(null)|none\n")
    carrier = submitted(tmp_path, started)
    says("squeue", squeue)
    row = carrier.look().get("n01", Row(name="n01"))
    assert (row.state, row.said) == (state, said)
    assert carrier.over() is not row.meaning.moving


def test_a_half_result_of_a_node_that_went_on_is_no_result(says: Callable[[str, str], None], tmp_path: Path) -> None:
    says("sinfo", "n01|idle|(null)|none\n")
    carrier = submitted(tmp_path, 1, exit_code=0, files={"result.json": "0" * 64})
    text = json.dumps(result(env("cpu-torch-2.13")))
    (tmp_path / "shared" / "runs" / "R" / "n01" / "result.json").write_text(text[:200])
    row = carrier.look()["n01"]
    assert (row.state, row.cause) == ("not-home", "torn")
    assert not (tmp_path / "R" / "hosts").exists()


@pytest.mark.parametrize(("slurm", "state"), [("CANCELLED", "lost"), ("PREEMPTED", "lost"), ("TIMEOUT", "hung")])
def test_checks_that_were_ended_from_outside_have_no_verdict_of_their_own(
    says: Callable[[str, str], None], script: Callable[..., Path], tmp_path: Path, slurm: str, state: str
) -> None:
    """After --stop, and where Slurm took a node for others, each node was called "error: killed by signal 15"."""
    says("sinfo", "n01|idle|(null)|none\n")
    carrier = submitted(tmp_path, 1, exit_code=-15, stopped=True, files={})
    says("squeue", f"1|{JOB}|{slurm}|None\n")
    row = carrier.look()["n01"]
    assert (row.state, row.said) == (state, f"Slurm: {slurm}: None")
    script(f"echo begun >>{tmp_path}/begun", "bin/sbatch")
    submitted(tmp_path)
    assert (tmp_path / "begun").read_text() == "begun\n"


def test_without_slurm_here_it_is_said_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="sinfo is not on this machine"):
        programs.nodes_of(["n01"])


def test_a_plan_tells_nodes_and_bytes_and_starts_nothing(
    says: Callable[[str, str], None], cli: Cli, checkout: Path, tmp_path: Path
) -> None:
    says("scontrol", "gpu01\ngpu02\n")
    # fmt: off
    words = [
        "--plan", "--slurm", "gpu[01-30]", "--shared", str(tmp_path), "--env", "gpu-torch", "--smoke-only", "python3",
        "--", "--partition=all",
    ]
    # fmt: on
    before = sorted(tmp_path.iterdir())
    code, out, err = cli("fleet", *words)
    assert (code, err) == (0, "")
    assert "2 machines: gpu01, gpu02" in out
    assert "to the shared folder, if it lacks it" in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slurm", "n01", "inventory.yml"], "leave one of both out"),
        (["--slurm", "n01", "--limit", "x"], "leave one of both out"),
        (["--slurm", "n01"], "no folder is named that every node sees"),
        (["--slurm", "n01", "--shared", "nowhere"], "there is no folder nowhere"),
        (["inventory.yml", "--drain"], "--shared and --drain are for a cluster"),
    ],
)
def test_options_that_do_not_go_together_are_refused(cli: Cli, checkout: Path, words: list[str], said: str) -> None:
    code, _, err = cli("fleet", *words, "--env", "cpu-torch")
    assert code == 2
    assert said in err
