"""The gate: what a machine's driver and GPU mean for each env, known beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.gpu.gate import Fit, Gpu, Machine, judge, newest_that_runs
from dlmatrix.matrix.compatibility import Compatibility, load_compatibility
from dlmatrix.matrix.load import lock_of, versions_of
from dlmatrix.matrix.model import Env, Lock, LockEntry, Matrix, Status

#: GPU's name, its compute capability (None: known by name alone), driver, env, verdict.
TRIPLES = [
    # a card as the wheel wants it
    ("NVIDIA H100 80GB HBM3", "9.0", "550.54.14", "gpu-torch-2.6", Fit.FITS),
    ("NVIDIA A100-SXM4-80GB", "8.0", "580.65.06", "gpu-torch-2.11", Fit.FITS),
    ("Tesla T4", "7.5", "595.45.04", "gpu-torch-2.15", Fit.FITS),
    ("NVIDIA GeForce RTX 3090", "8.6", "535.129.03", "gpu-torch-1.13", Fit.FITS),
    ("NVIDIA GeForce RTX 4090", "8.9", "550.54.14", "gpu-torch-2.6", Fit.FITS),  # by sm_86
    ("NVIDIA L4", "8.9", "555.42.02", "gpu-tf2-2.18", Fit.FITS),
    ("Tesla V100-SXM2-16GB", "7.0", "535.54.03", "gpu-tf2-2.15", Fit.FITS),
    ("Tesla V100-SXM2-16GB", "7.0", "570.26", "gpu-torch-2.9", Fit.FITS),
    ("Tesla P100-PCIE-16GB", "6.0", "470.82.01", "gpu-tf2-2.10", Fit.FITS),
    ("NVIDIA GeForce GTX 1080 Ti", "6.1", "470.82.01", "gpu-torch-1.13", Fit.FITS),
    ("Tesla M40", "5.2", "525.60.13", "gpu-torch-2.2", Fit.FITS),
    ("Tesla K80", "3.7", "470.223.02", "gpu-torch-1.13", Fit.FITS),
    ("Tesla K80", "3.7", "470.223.02", "gpu-tf2-2.10", Fit.FITS),  # by sm_35
    ("NVIDIA B200", "10.0", "580.65.06", "gpu-torch-2.11", Fit.FITS),
    ("NVIDIA B300", "10.3", "580.65.06", "gpu-torch-2.13", Fit.FITS),  # by sm_100
    ("NVIDIA GeForce RTX 5090", "12.0", "570.26", "gpu-torch-2.9", Fit.FITS),
    ("NVIDIA GB10", "12.1", "580.65.06", "gpu-torch-2.13", Fit.FITS),
    # only a name is known
    ("NVIDIA GeForce RTX 3080", None, "550.54.14", "gpu-torch-2.6", Fit.FITS),
    ("Tesla P100-PCIE-16GB", None, "580.65.06", "gpu-torch-2.11", Fit.CARD_TOO_OLD),
    ("NVIDIA Graphics Device", None, "580.65.06", "gpu-torch-2.11", Fit.UNKNOWN),
    ("NVIDIA RTX 5000 Ada Generation", None, "580.65.06", "gpu-torch-2.11", Fit.UNKNOWN),
    # the wheel has no machine code for the card, but code that the driver can compile
    ("NVIDIA H100 80GB HBM3", "9.0", "545.23.06", "gpu-tf2-2.15", Fit.COMPILES_FIRST),
    ("NVIDIA H100 80GB HBM3", "9.0", "535.54.03", "gpu-tf2-2.10", Fit.COMPILES_FIRST),
    ("NVIDIA B200", "10.0", "570.26", "gpu-tf2-2.21", Fit.COMPILES_FIRST),
    ("NVIDIA GeForce RTX 5090", "12.0", "570.26", "gpu-tf2-2.18", Fit.COMPILES_FIRST),
    ("NVIDIA GeForce RTX 3090", "8.6", "470.82.01", "gpu-tf1-1.15", Fit.COMPILES_FIRST),
    ("NVIDIA GeForce RTX 5090", "12.0", "570.26", "gpu-tf1-compat-2.15", Fit.COMPILES_FIRST),
    # the driver for machine code is not enough to compile
    ("NVIDIA H100 80GB HBM3", "9.0", "525.60.13", "gpu-tf2-2.15", Fit.DRIVER_TOO_OLD),
    ("NVIDIA GeForce RTX 5090", "12.0", "550.54.14", "gpu-tf2-2.21", Fit.DRIVER_TOO_OLD),
    # the card is too old for the wheel
    ("Tesla V100-SXM2-16GB", "7.0", "580.65.06", "gpu-torch-2.11", Fit.CARD_TOO_OLD),
    ("Tesla P100-PCIE-16GB", "6.0", "570.26", "gpu-torch-2.9", Fit.CARD_TOO_OLD),
    ("NVIDIA GeForce GTX 980", "5.2", "555.42.02", "gpu-tf2-2.18", Fit.CARD_TOO_OLD),
    ("Tesla K80", "3.7", "470.223.02", "gpu-torch-2.2", Fit.CARD_TOO_OLD),
    ("Tesla K80", "3.7", "470.223.02", "gpu-tf2-2.15", Fit.CARD_TOO_OLD),
    # the wheel is too old for the card
    ("NVIDIA H100 80GB HBM3", "9.0", "550.54.14", "gpu-torch-1.13", Fit.WHEEL_TOO_OLD),
    ("NVIDIA GeForce RTX 5090", "12.0", "570.26", "gpu-torch-2.6", Fit.WHEEL_TOO_OLD),
    ("NVIDIA B200", "10.0", "570.26", "gpu-torch-2.2", Fit.WHEEL_TOO_OLD),
    ("Orin", "8.7", "580.65.06", "gpu-torch-2.11", Fit.WHEEL_TOO_OLD),
    ("NVIDIA Thor", "11.0", "580.65.06", "gpu-torch-2.13", Fit.WHEEL_TOO_OLD),
    # the driver is too old: minor-version compatibility sets the bound
    ("NVIDIA A100-SXM4-80GB", "8.0", "535.129.03", "gpu-torch-2.11", Fit.DRIVER_TOO_OLD),
    ("NVIDIA A100-SXM4-80GB", "8.0", "580.65.06", "gpu-torch-2.15", Fit.FITS),
    ("NVIDIA A100-SXM4-80GB", "8.0", "525.60.13", "gpu-torch-2.9", Fit.FITS),
    ("NVIDIA A100-SXM4-80GB", "8.0", "515.65.01", "gpu-tf2-2.18", Fit.DRIVER_TOO_OLD),
    ("NVIDIA A100-SXM4-80GB", "8.0", "450.36.06", "gpu-tf2-2.10", Fit.FITS),
    ("Tesla T4", "7.5", "440.33.01", "gpu-tf2-2.10", Fit.DRIVER_TOO_OLD),
    ("Tesla V100-SXM2-16GB", "7.0", "410.48", "gpu-tf1-1.15", Fit.FITS),
    ("Tesla V100-SXM2-16GB", "7.0", "396.26", "gpu-tf1-1.15", Fit.DRIVER_TOO_OLD),  # CUDA 10 has no minor rule
    # a driver that has dropped the card
    ("Tesla P100-PCIE-16GB", "6.0", "590.44.01", "gpu-torch-2.6", Fit.DRIVER_TOO_NEW),
    ("Tesla K80", "3.7", "510.47.03", "gpu-torch-1.13", Fit.DRIVER_TOO_NEW),
    # nothing to run on
    ("Tesla T4", "7.5", None, "gpu-torch-2.6", Fit.NO_DRIVER),
    # cpu envs need nothing
    ("Tesla K80", "3.7", None, "cpu-torch-2.13", Fit.FITS),
]


@pytest.fixture(scope="module")
def table(root: Path) -> Compatibility:
    return load_compatibility(root)


def env_named(matrix: Matrix, name: str) -> Env:
    return next(env for env in matrix.envs if env.name == name)


def test_forty_triples_at_least() -> None:
    assert len({triple[:4] for triple in TRIPLES}) >= 40


@pytest.mark.parametrize("triple", TRIPLES, ids=lambda t: f"{t[0]}-{t[2]}-{t[3]}")
def test_verdict(table: Compatibility, matrix: Matrix, triple: tuple[str, str | None, str | None, str, Fit]) -> None:
    gpu, capability, driver, name, fit = triple
    machine = Machine(driver=driver, gpus=(Gpu(name=gpu, capability=capability),))
    verdict = judge(table, env_named(matrix, name), machine)
    assert verdict.fit is fit, verdict.reason
    assert verdict.usable is (fit in (Fit.FITS, Fit.COMPILES_FIRST))


def test_without_a_gpu(table: Compatibility, matrix: Matrix) -> None:
    verdict = judge(table, env_named(matrix, "gpu-torch-2.6"), Machine(driver=None, gpus=()))
    assert verdict.fit is Fit.NO_GPU


def test_a_version_nobody_measured_is_unknown(table: Compatibility, matrix: Matrix) -> None:
    env = replace(env_named(matrix, "gpu-torch-2.6"), version="2.0.9")
    verdict = judge(table, env, Machine(driver="580.65.06", gpus=(Gpu(name="T4", capability="7.5"),)))
    assert verdict.fit is Fit.UNKNOWN
    assert "torch 2.0.9" in verdict.reason


def test_the_best_card_decides_and_the_others_are_named(table: Compatibility, matrix: Matrix) -> None:
    gpus = (Gpu(name="Quadro P4000", capability="6.1"), Gpu(name="NVIDIA A100", capability="8.0"))
    verdict = judge(table, env_named(matrix, "gpu-torch-2.11"), Machine(driver="580.65.06", gpus=gpus))
    assert verdict.fit is Fit.FITS
    assert "NVIDIA A100" in verdict.reason
    assert "Quadro P4000 (compute capability 6.1) is older" in verdict.reason


def test_names_the_envs_that_would_work_own_series_first(table: Compatibility, matrix: Matrix) -> None:
    machine = Machine(driver="470.223.02", gpus=(Gpu(name="Tesla K80", capability="3.7"),))
    verdict = judge(table, env_named(matrix, "gpu-torch-2.11"), machine, matrix.envs)
    assert verdict.would_work == ("gpu-torch-1.13", "gpu-tf2-2.10")


def test_suggests_no_env_that_cannot_be_built(table: Compatibility, matrix: Matrix) -> None:
    impossible = {env.name for env in matrix.envs if env.status is Status.IMPOSSIBLE}
    machine = Machine(driver="470.223.02", gpus=(Gpu(name="Tesla K80", capability="3.7"),))
    for env in matrix.envs:
        assert not impossible & set(judge(table, env, machine, matrix.envs).would_work)


def test_the_locked_cudnn_sets_a_bound_of_its_own(table: Compatibility, matrix: Matrix) -> None:
    env = env_named(matrix, "gpu-tf2-2.21")
    machine = Machine(driver="580.65.06", gpus=(Gpu(name="Tesla V100", capability="7.0"),))
    cudnn = LockEntry(name="nvidia-cudnn-cu12", version="9.27.0.42", hashes=("0" * 64,))
    lock = Lock(file=Path("lock"), sha256="", entries=(cudnn,))
    verdict = judge(table, env, machine, matrix.envs, {env.name: lock})
    assert verdict.fit is Fit.CARD_TOO_OLD
    assert "cuDNN 9.27.0.42" in verdict.reason
    assert "gpu-tf2-2.18" in verdict.would_work
    assert judge(table, env, machine).fit is Fit.FITS


def test_a_driver_that_the_card_can_never_get_makes_the_card_too_old(table: Compatibility, matrix: Matrix) -> None:
    env = replace(env_named(matrix, "gpu-tf2-2.10"), version="2.13.1")  # CUDA 11.8, still with sm_35
    old = Machine(driver="440.33.01", gpus=(Gpu(name="Tesla K80", capability="3.7"),))
    assert judge(table, env, old).fit is Fit.DRIVER_TOO_OLD  # R470 would do
    kepler_on_12 = replace(table.build_of(env), cuda="12.0")  # type: ignore[type-var]
    assert judge(replace(table, builds=(kepler_on_12,)), env, old).fit is Fit.CARD_TOO_OLD  # type: ignore[arg-type]


def test_every_env_has_a_row_and_a_python_it_has_wheels_for(table: Compatibility, matrix: Matrix) -> None:
    for env in matrix.envs:
        python = table.python_of(env)
        assert table.build_of(env), env.name
        assert python, env.name
        assert python.oldest.release <= tuple(map(int, env.python.split("."))) <= python.newest.release, env.name


def test_locked_cudnn_is_the_major_version_built_with_and_serves_every_kernel(
    table: Compatibility, matrix: Matrix
) -> None:
    checked = []
    for env in matrix.envs:
        if env.variant != "gpu" or env.status is Status.IMPOSSIBLE:
            continue
        lock, build = lock_of(matrix, env), table.build_of(env)
        assert build
        cudnn = next(entry for entry in lock.entries if entry.name.startswith("nvidia-cudnn-cu"))
        assert cudnn.version.partition(".")[0] == build.cudnn, env.name
        assert cudnn.name.removeprefix("nvidia-cudnn-cu") == build.cuda_major, env.name
        floor = table.cudnn_floor(lock)
        assert floor is None or floor[1] <= min(build.sass), env.name
        checked.append(env.name)
    assert len(checked) >= 12


def newest(table: Compatibility, matrix: Matrix, session: str, machine: Machine) -> tuple[str, list[str]]:
    """The env taken for a session's name, and the newer ones that were not."""
    versions = [env for env in versions_of(matrix, session) if env.status is not Status.IMPOSSIBLE]
    locks = {env.name: lock_of(matrix, env) for env in versions}
    env, newer = newest_that_runs(table, versions, machine, locks)
    assert all(verdict.reason and not verdict.usable for verdict in newer)
    return env.name, [verdict.env for verdict in newer]


H100, P100 = ("NVIDIA H100 80GB HBM3", "9.0"), ("Tesla P100-PCIE-16GB", "6.0")
TORCH, TF2 = [f"gpu-torch-{short}" for short in ("2.15", "2.13", "2.11", "2.9")], ["gpu-tf2-2.21", "gpu-tf2-2.18"]


@pytest.mark.parametrize(
    ("gpu", "driver", "session", "taken", "newer"),
    [
        (H100, "580.159.04", "gpu-torch", "gpu-torch-2.15", []),
        (H100, "580.159.04", "gpu-tf2", "gpu-tf2-2.21", []),
        (H100, "550.54.14", "gpu-torch", "gpu-torch-2.9", TORCH[:3]),
        (P100, "570.26", "gpu-torch", "gpu-torch-2.6", TORCH),
        (P100, "470.82.01", "gpu-tf2", "gpu-tf2-2.10", [*TF2, "gpu-tf2-2.15"]),
        # By ptx it runs too, after a while.
        (("NVIDIA GeForce RTX 5090", "12.0"), "570.26", "gpu-tf2", "gpu-tf2-2.21", []),
        # None of them runs, or nothing is known: the newest, as without a GPU, and the gate has its say.
        (("Tesla K40", "3.5"), "470.223.02", "gpu-torch", "gpu-torch-2.15", []),
        (("NVIDIA Graphics Device", None), "580.65.06", "gpu-torch", "gpu-torch-2.15", []),
        (P100, None, "gpu-torch", "gpu-torch-2.15", []),
    ],
)
def test_a_session_s_name_stands_for_the_newest_that_runs_here(
    table: Compatibility,
    matrix: Matrix,
    *,
    gpu: tuple[str, str | None],
    driver: str | None,
    session: str,
    taken: str,
    newer: list[str],
) -> None:
    machine = Machine(driver=driver, gpus=(Gpu(name=gpu[0], capability=gpu[1]),))
    assert newest(table, matrix, session, machine) == (taken, newer)


def test_without_a_gpu_it_is_the_newest(table: Compatibility, matrix: Matrix) -> None:
    assert newest(table, matrix, "gpu-torch", Machine(driver=None, gpus=())) == ("gpu-torch-2.15", [])
