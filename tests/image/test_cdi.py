"""GPUs by CDI on a real engine that has no NVIDIA hook: a specification whose "GPU" is an ordinary device node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import GpuRefusedError
from dlmatrix.matrix.plan import ALL, Plan
from tests.image.support import ROOT, Dlmatrix, containers, plan_of

CELL = "cpu-torch-2.13"
_FILE = "dlmatrix-test.json"
_DEVICES = [
    {"name": name, "containerEdits": {"deviceNodes": [{"path": path, "hostPath": "/dev/zero"} for path in nodes]}}
    for name, nodes in (
        ("0", ["/dev/nvidia0"]),
        ("GPU-00000000-aaaa-bbbb-cccc-000000000001", ["/dev/nvidia1"]),
        ("all", ["/dev/nvidia0", "/dev/nvidia1"]),
    )
]
SPEC = json.dumps({"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": _DEVICES})
#: An image's checks, as far as this test needs any: which of the devices are there, and can they be read.
LOOKS = "import glob; print(*((path, len(open(path, 'rb').read(4))) for path in sorted(glob.glob('/dev/nvidia*'))))"


@pytest.fixture
def plan(engine: DockerEngine) -> Plan:
    """The plan of an env whose image has been built."""
    plan = plan_of(ROOT, CELL)
    engine.prepare(plan, lambda line: None)
    return plan


@pytest.fixture
def cdi(client: Any, plan: Plan) -> Iterator[None]:
    """The engine's machine has the specification, in the folder for those that do not outlast a start."""
    if not (folders := client.info().get("CDISpecDirs")):
        pytest.skip("this engine has no folder for CDI specifications: turn its feature cdi on")
    if client.info().get("DiscoveredDevices"):
        pytest.skip("this engine has CDI devices of its own")

    def on_the_machine(program: str) -> None:
        client.containers.run(
            plan.env.tag, [program, SPEC], entrypoint=["python", "-c"], user="0:0", network_mode="none", remove=True,
            volumes={folders[-1]: {"bind": "/cdi", "mode": "rw"}},
        )  # fmt: skip

    on_the_machine(f"import sys; open('/cdi/{_FILE}', 'w').write(sys.argv[1])")
    try:
        yield
    finally:
        on_the_machine(f"import os; os.remove('/cdi/{_FILE}')")


@pytest.fixture
def looking(client: Any, plan: Plan) -> Iterator[Prepared]:
    """The env's image, with another program in the place of its checks."""
    container = client.containers.create(plan.env.tag)
    image = container.commit("dlmatrix-test", "cdi", changes=f"ENTRYPOINT {json.dumps(['python', '-c', LOOKS])}")
    container.remove(force=True)
    yield Prepared(what=image.id, built=False, seconds=0.0)
    client.images.remove(image.id, force=True)


@pytest.mark.usefixtures("cdi")
@pytest.mark.parametrize(
    ("gpus", "said", "seen"),
    [
        (ALL, "nvidia.com/gpu=all by CDI", b"('/dev/nvidia0', 4) ('/dev/nvidia1', 4)\n"),
        (("0",), "nvidia.com/gpu=0 by CDI", b"('/dev/nvidia0', 4)\n"),
        (
            ("GPU-00000000-aaaa-bbbb-cccc-000000000001",),
            "nvidia.com/gpu=GPU-00000000-aaaa-bbbb-cccc-000000000001 by CDI",
            b"('/dev/nvidia1', 4)\n",
        ),
        ((), "", b"\n"),
    ],
)
def test_a_run_is_given_the_gpus_that_were_named(
    engine: DockerEngine, plan: Plan, looking: Prepared, *, gpus: tuple[str, ...], said: str, seen: bytes
) -> None:
    done = engine.run(replace(plan, gpus=gpus), looking, lambda line: None)
    assert (done.exit_code, done.gpus, done.stdout) == (0, said, seen)


@pytest.mark.usefixtures("cdi")
def test_a_gpu_that_no_specification_has_is_refused_by_its_name_and_nothing_is_left(
    client: Any, engine: DockerEngine, plan: Plan, looking: Prepared
) -> None:
    with pytest.raises(GpuRefusedError, match=r"unresolvable CDI devices nvidia\.com/gpu=7\n"):
        engine.run(replace(plan, gpus=("7",)), looking, lambda line: None)
    assert containers(client) == []


@pytest.mark.usefixtures("cdi", "plan")
def test_the_doctor_s_container_is_given_them_too_and_it_says_how(dlmatrix: Dlmatrix) -> None:
    told = json.loads(dlmatrix("doctor", "--engine", "docker", "--json", CELL).out)
    assert (told["launch"]["error"], told["launch"]["gpus"]) == ("", "nvidia.com/gpu=all by CDI")
    assert not {"TOOLKIT_MISSING", "CDI_NO_VENDOR", "CDI_MISSING"} & {cause["label"] for cause in told["causes"]}
    nodes = told["facts"]["inside"]["kernel"]["nodes"]
    assert [path for path in ("/dev/nvidia0", "/dev/nvidia1") if nodes[path]["present"]] == [
        "/dev/nvidia0",
        "/dev/nvidia1",
    ]
    assert "by CDI" in dlmatrix("doctor", "--engine", "docker", CELL).out
