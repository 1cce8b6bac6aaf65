"""What a container of a run cannot do, tried from inside each framework's image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.container import container_options
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.matrix.plan import Limits, Plan, quick
from tests.image.support import ROOT, plan_of

CELLS = ("cpu-torch-2.13", "cpu-tf2-2.21", "cpu-tf1-1.15")
PROBE = (Path(__file__).parent / "probe.py").read_text(encoding="utf-8")
LIMITS = Limits(cpus=1, pids=64)

Run = Callable[..., tuple[int, str, bool]]


@pytest.fixture
def run(client: Any) -> Iterator[Run]:
    """Run Python code under the options of a run: exit code, what it printed, whether it was killed for memory."""
    made = []

    def start(plan: Plan, code: str, **changes: Any) -> tuple[int, str, bool]:
        options = container_options(plan) | {"log_config": {"Type": "json-file"}} | changes
        options |= {"entrypoint": ["python", "-c"], "command": [code]}
        made.append(container := client.containers.create(**options))
        container.start()
        code = container.wait()["StatusCode"]
        container.reload()
        return code, container.logs().decode(), container.attrs["State"]["OOMKilled"]

    yield start
    for container in made:
        container.remove(force=True, v=True)


def image(engine: DockerEngine, cell: str) -> Plan:
    """The plan of an env whose image has been built."""
    plan = replace(plan_of(ROOT, cell), limits=LIMITS)
    engine.prepare(plan, lambda line: None)
    return plan


def probe(run: Run, plan: Plan, **changes: Any) -> dict[str, Any]:
    code, said, _ = run(plan, f"{PROBE}\nmain({LIMITS.tmp_bytes}, {LIMITS.shm_bytes})", **changes)
    assert code == 0, said
    return dict(json.loads(said.splitlines()[-1]))


@pytest.mark.parametrize("cell", CELLS)
def test_what_a_container_tries_in_vain(cell: str, engine: DockerEngine, run: Run) -> None:
    found = probe(run, image(engine, cell))
    assert found["user"] == [65532, 65532, 65532, [65532]]
    writable = {path for path, outcome in found["write"].items() if outcome == "done"}
    assert writable == {"/tmp", "/dev/shm"}
    assert {found["write"][path] for path in found["write"].keys() - writable} <= {"EROFS", "EACCES"}
    assert found["proc"] in ("EROFS", "EACCES")
    assert found["fill"] == {"/tmp": "ENOSPC", "/dev/shm": "ENOSPC"}
    assert found["size"] == {"/tmp": LIMITS.tmp_bytes, "/dev/shm": LIMITS.shm_bytes}
    assert "lo" in found["interfaces"]
    assert not [name for name in found["interfaces"] if name.startswith(("eth", "en", "wl"))]
    assert found["connect"]["IPv4"] == "ENETUNREACH"
    assert found["connect"]["IPv6"] in ("ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")
    assert found["connect"]["raw"] == "EPERM"
    assert found["connect"]["name"] != "done"
    assert set(found["capabilities"].values()) == {0}
    assert found["no_new_privileges"] == "1"
    assert found["seccomp"] == "2"
    assert set(found["gain"].values()) <= {"EPERM", "EACCES"}
    assert found["setuid_program"] == 65532
    assert 0 < found["processes"] < LIMITS.pids


def test_the_same_attempts_without_the_options_succeed(engine: DockerEngine, run: Run) -> None:
    """The probe can tell: with its options taken away, a container does what the test above says it cannot."""
    found = probe(
        run,
        image(engine, "cpu-torch-2.13"),
        network_mode="bridge",
        read_only=False,
        cap_drop=[],
        security_opt=[],
        user="0:0",
        pids_limit=200,
    )
    assert set(found["write"].values()) == {"done"}
    assert any(name.startswith("eth") for name in found["interfaces"])
    assert found["connect"]["raw"] == "done"
    assert found["capabilities"]["CapEff"] != 0
    assert found["no_new_privileges"] == "0"
    assert found["gain"]["setuid"] == found["gain"]["chroot"] == "done"
    assert LIMITS.pids < found["processes"] < 200


def test_a_setuid_program_gains_nothing_only_because_of_no_new_privileges(engine: DockerEngine, run: Run) -> None:
    changes = {"cap_drop": [], "security_opt": []}
    assert probe(run, image(engine, "cpu-torch-2.13"), **changes)["setuid_program"] == 0


@pytest.mark.parametrize("cell", CELLS)
def test_memory_is_limited(cell: str, engine: DockerEngine, run: Run) -> None:
    plan = image(engine, cell)
    small = replace(plan, limits=replace(LIMITS, memory_bytes=128 << 20))
    code, _, killed = run(small, "block = bytearray(512 << 20)")
    assert (code, killed) == (137, True)
    code, said, killed = run(small, "block = bytearray(32 << 20)")
    assert (code, killed) == (0, False), said


QUOTA = """
import json, os, time
from smoke import cgroup
allowed = [cgroup.quota(), cgroup.cpus()]
# Two processes that never wait use two processors, where they may.
child = os.fork()
end = time.monotonic() + 3
while time.monotonic() < end:
    pass
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
times = os.times()
print(json.dumps({"allowed": allowed, "used": times.user + times.system + times.children_user + times.children_system}))
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor cannot show a limit of one")
def test_processors_are_limited_and_threads_follow(engine: DockerEngine, run: Run) -> None:
    code, said, _ = run(image(engine, "cpu-torch-2.13"), QUOTA)
    assert code == 0, said
    found = json.loads(said)
    assert found["allowed"] == [1.0, 1]
    # A period of the scheduler may be granted at both ends: 3 s of one processor, not of two.
    assert found["used"] < 3.5


@pytest.mark.parametrize("cell", CELLS)
def test_a_framework_uses_as_many_threads_as_it_has_processors(cell: str, engine: DockerEngine, checkout: Path) -> None:
    plan = plan_of(checkout, cell)  # other tests look for what this one's checkout has left
    plan = replace(plan, limits=Limits(cpus=1), measuring=replace(quick(plan.env), only=True))
    completed = engine.run(plan, engine.prepare(plan, lambda line: None), lambda line: None)
    found = json.loads(completed.stdout)["throughput"]
    assert (found["threads"], found["machine"]["cpus"]) == (1, 1.0)
    assert {row["outcome"] for row in found["rows"]} == {"measured"}
