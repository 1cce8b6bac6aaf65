"""The library closure of real gpu images, whole and with libraries taken out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import docker
import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.relay import reading
from dlmatrix.engines.places import image_place
from dlmatrix.inspection.closure import Closure, check_closure, site_packages
from dlmatrix.inspection.filesystem import Stacked
from dlmatrix.inspection.layer import read_layer
from dlmatrix.inspection.libraries import load_libraries
from dlmatrix.inspection.private import Private
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Env, Status
from tests.image.support import ROOT, plan_of

MATRIX = load_matrix(ROOT)
ENVS = [e for e in MATRIX.envs if e.status is not Status.IMPOSSIBLE]
GPU = [e for e in ENVS if e.variant == "gpu"]
#: The folder of cuBLAS among NVIDIA's wheels: by name up to CUDA 12, all in one from CUDA 13 on.
CUBLAS = {"11": "nvidia/cublas/lib/libcublas.so.11", "12": "nvidia/cublas/lib/libcublas.so.12"}
CUBLAS_13 = "nvidia/cu13/lib/libcublas.so.13"


@pytest.fixture(scope="module")
def closure_of(client: Any) -> Callable[..., Closure]:
    """Check an env's image after deleting paths below site-packages, in a throw-away container; each case once."""

    @functools.cache
    def check(name: str, *without: str) -> Closure:
        plan = plan_of(ROOT, name)
        try:
            image = client.images.get(plan.env.tag)
        except docker.errors.ImageNotFound:
            pytest.skip(
                f"{plan.env.tag} is not on this engine; build it: python -m dlmatrix run {name} --engine docker"
            )
        paths = [f"{site_packages(plan.env.python)}/{path}" for path in without]
        container = client.containers.create(
            image.id,
            entrypoint=["rm", *paths] if without else ["true"],
            command=[],
            user="0",
            labels={"dlmatrix.env": ""},
            network_mode="none",
        )
        try:
            container.start()
            assert container.wait()["StatusCode"] == 0
            with reading(["docker", "export", container.id]) as stream:
                files = Stacked([read_layer(cast(BinaryIO, stream), Private())])
            place = image_place(plan, files, image.attrs["Config"]["Env"])
        finally:
            container.remove(force=True, v=True)
        build = load_compatibility(ROOT).build_of(plan.env)
        return check_closure(place, plan.env, load_libraries(), build, plan.lock)

    return check


@pytest.mark.parametrize("env", GPU, ids=lambda e: e.name)
def test_whole(closure_of: Callable[..., Closure], env: Env) -> None:
    closure = closure_of(env.name)
    assert closure.findings == ()
    assert set(closure.driver) <= {"libcuda.so.1"}


@pytest.mark.parametrize("env", ENVS, ids=lambda e: e.name)
def test_the_layers_say_what_the_whole_image_says(
    engine: DockerEngine,
    closure_of: Callable[..., Closure],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    env: Env,
) -> None:
    """Read for the first time, and as they were kept."""
    whole, plan = closure_of(env.name), plan_of(ROOT, env.name)
    monkeypatch.setenv("DLMATRIX_CACHE_DIR", str(tmp_path))
    for _ in range(2):
        place = engine.place(plan)
        assert check_closure(place, env, load_libraries(), load_compatibility(ROOT).build_of(env), plan.lock) == whole
        monkeypatch.setattr("dlmatrix.engines.docker.images.Images.layers", None)  # nobody asks the engine again


@pytest.mark.parametrize("env", GPU, ids=lambda e: e.name)
def test_what_is_taken_out_is_named(closure_of: Callable[..., Closure], env: Env) -> None:
    """A library that others need, and a part of cuDNN that only a name in cuDNN leads to."""
    build = load_compatibility(ROOT).build_of(env)
    assert build
    lock = plan_of(ROOT, env.name).lock
    cublas = CUBLAS.get(build.cuda_major, CUBLAS_13)
    wheel = "nvidia-cublas" if build.cuda_major == "13" else f"nvidia-cublas-cu{build.cuda_major}"
    cudnn = f"nvidia-cudnn-cu{build.cuda_major}"
    locked = lock.version_of(cudnn) or ""
    part = "libcudnn_cnn_train.so.8" if locked.startswith("8.") else "libcudnn_heuristic.so.9"
    found = {finding.what: finding for finding in closure_of(env.name, cublas, f"nvidia/cudnn/lib/{part}").findings}
    assert found.keys() >= {cublas.rpartition("/")[2], part}
    assert found[cublas.rpartition("/")[2]].wheel == f"{wheel}=={lock.version_of(wheel)}"
    assert found[part].wheel == f"{cudnn}=={locked}"


#: Prints what a process has mapped when its frameworks are imported.
MAPPED = """
import importlib
for name in ("torch", "torch._inductor", "torch.distributed", "tensorflow", "h5py", "numpy.random", "numpy.linalg"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
for line in open("/proc/self/maps"):
    print(line.split(None, 5)[-1].strip())
"""


@pytest.mark.parametrize("env", ENVS, ids=lambda e: e.name)
def test_what_a_process_has_loaded_is_called_loaded(client: Any, closure_of: Callable[..., Closure], env: Env) -> None:
    unloaded = closure_of(env.name).unloaded
    options = {"network_mode": "none", "labels": {"dlmatrix.env": ""}, "remove": True}
    mapped = client.containers.run(env.tag, ["-c", MAPPED], entrypoint=["python"], **options).decode().splitlines()
    assert [path for path in mapped if site_packages(env.python) in path]
    assert set(mapped).isdisjoint(unloaded)
