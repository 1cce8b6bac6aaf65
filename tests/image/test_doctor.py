"""The doctor on a real engine: its refusal of a GPU, and real frameworks against the lab's stub drivers."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest

from dlmatrix.engines.docker.container import USER
from dlmatrix.engines.docker.detect import detect_in_container
from dlmatrix.gpu.diagnosis import diagnose
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.plan import ALL
from tests.image.support import ROOT, Dlmatrix, plan_of
from tests.lab.machine import compile_stubs

#: What cuInit returns, and the cause: torch and TensorFlow are given these by the stub libcuda.
CODES = {
    34: "STUB_LIBCUDA",
    304: "OS_CALL_BLOCKED",
    803: "COMPAT_MISMATCH",
    804: "COMPAT_UNSUPPORTED_HW",
    805: "MPS_DOWN",
}


def image(client: Any, env: str) -> str:
    tag = plan_of(ROOT, env).env.tag
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        pytest.skip(f"{tag} has not been built: python -m dlmatrix run {env}")
    return tag


def facts_with_stubs(client: Any, tag: str, framework: str, scenario: str, folder: Path) -> dict[str, Any]:
    """What detection sees in a container of `tag` that has the stub drivers; nothing is mounted."""
    compile_stubs(folder)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for source, name in (("cuda.so", "libcuda.so.1"), ("nvml.so", "libnvidia-ml.so.1")):
            tar.add(folder / source, f"lab/{name}")
        text = scenario.encode()
        entry = tarfile.TarInfo("lab/scenario.txt")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    container = client.containers.create(
        tag,
        entrypoint=["python", "-m", "smoke.detect", "--json", "-", "--framework", framework],
        user=USER,
        network_mode="none",
        cap_drop=["ALL"],
        environment={"LD_LIBRARY_PATH": "/lab", "LAB_SCENARIO": "/lab/scenario.txt"},
    )
    try:
        container.put_archive("/", archive.getvalue())
        container.start()
        container.wait(timeout=300)
        return dict(json.loads(container.logs(stdout=True, stderr=False)))
    finally:
        container.remove(force=True, v=True)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU: nothing is refused")
def test_the_engine_refuses_a_gpu_in_words_that_the_catalogue_knows(client: Any, dlmatrix: Dlmatrix) -> None:
    own = {"ancestor": image(client, "cpu-torch-2.13")}
    before = {container.id for container in client.containers.list(all=True, filters=own)}
    done = dlmatrix("doctor", "--engine", "docker", "--json", "cpu-torch-2.13")
    told = json.loads(done.out)
    assert done.code == told["exit_code"] == 20
    labels = [cause["label"] for cause in told["causes"]]
    assert labels[0] == "NO_GPU"
    assert labels[1] in ("TOOLKIT_MISSING", "CDI_NO_VENDOR"), told["launch"]
    assert {container.id for container in client.containers.list(all=True, filters=own)} <= before


def test_an_image_that_is_not_there_is_no_answer(client: Any) -> None:
    assert detect_in_container(client, "dlmatrix:no-such-env", ["--json", "-"], gpus=ALL, seconds=60) is None


@pytest.mark.parametrize(
    ("env", "label"),
    [("cpu-torch-2.13", "TORCH_CPU_WHEEL"), ("cpu-tf2-2.21", "TF_CPU_BUILD"), ("cpu-tf1-1.15", "TF_CPU_BUILD")],
)
def test_real_cpu_framework_on_a_driver_that_works(client: Any, env: str, label: str, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("the lab compiles its stub drivers: install gcc")
    plan = plan_of(ROOT, env)
    scenario = "count 1\ndriver 580.95.05\ncuda 13000\n"
    facts = facts_with_stubs(client, image(client, env), plan.env.framework, scenario, tmp_path)
    assert facts["cuda"]["init"]["code"] == 0
    assert facts["framework"]["version"].startswith(plan.env.version)
    assert [cause.label for cause in diagnose(inside=facts).causes] == [label]


def newest_gpu_image(client: Any, series: str) -> tuple[str, str]:
    """The tag of the newest gpu env of a series whose image is on the engine, and what smoke calls its framework."""
    envs = [env for env in reversed(load_matrix(ROOT).envs) if (env.variant, env.series) == ("gpu", series)]
    for env in envs:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.get(env.tag)
            return env.tag, env.framework
    pytest.skip(f"no image of a gpu-{series} env has been built: python -m dlmatrix run gpu-{series}")


@pytest.mark.parametrize("series", ["torch", "tf2", "tf1-compat"])
def test_real_cuda_framework_repeats_the_drivers_words(client: Any, series: str, tmp_path: Path) -> None:
    tag, framework = newest_gpu_image(client, series)
    for code, label in CODES.items():
        scenario = f"count 1\ndriver 580.95.05\ncuda 13000\ncuInit {code}\n"
        facts = facts_with_stubs(client, tag, framework, scenario, tmp_path)
        said = "\n".join([*facts["framework"]["messages"], facts["framework"].get("initialised_error", "")])
        assert facts["cuda"]["init"]["text"] in said, said
        assert diagnose(inside=facts).causes[0].label == label
