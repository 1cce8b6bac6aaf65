"""What a run decides about a machine's GPU: the gate before a build, GPUs or none, the diagnosis as a check."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.host import HostEngine
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import IncompatibleError, UsageError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import ALL, NONE, Limits, Plan, make_plan
from dlmatrix.run.outside import Outside
from dlmatrix.system.checkout import find_root
from tests.lab.machine import host_of
from tests.lab.scenario import facts_of

MATRIX = load_matrix(find_root(Path(__file__).parent))
Here = Callable[..., Outside]


@pytest.fixture
def here(stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """This machine, with the GPUs of these models, as the real detection sees it."""

    number = itertools.count()

    def make(*models: str, require_gpu: bool = False, named: tuple[str, ...] = ALL, **spec: Any) -> Outside:
        host = {"gpus": [{"model": model} for model in models]} | spec
        facts = facts_of(host_of({"host": host}), tmp_path / f"host{next(number)}", stubs, 60.0)
        monkeypatch.setattr("dlmatrix.run.outside.detect", lambda *_: facts)
        return Outside(MATRIX, require_gpu, named)

    return make


def plan_of(name: str) -> Plan:
    (env,) = select(MATRIX, [name])
    return make_plan(MATRIX, env, lock_of(MATRIX, env), "0", Limits())


def gpu_check(outside: Outside, *checks: dict[str, Any], plan: Plan | None = None) -> dict[str, Any]:
    """The diagnosis, as it stands in a report, after these checks inside."""
    plan = plan or plan_of("gpu-torch-2.13")
    prepared = Prepared(what="x", built=False, seconds=0.0)
    document = {"detection": None, "checks": list(checks)}
    (check,) = outside.checks(HostEngine(Path("/bin/sh")), plan, prepared, document, None)
    return check


def test_a_card_that_the_wheel_has_kernels_for_goes_through_and_is_used(here: Here) -> None:
    outside = here("NVIDIA A100-SXM4-40GB")
    env = plan_of("gpu-torch-2.13").env
    outside.gate(env)
    assert outside.gpus(env) == ALL
    assert not outside.gpus(plan_of("cpu-torch-2.13").env)
    assert gpu_check(outside)["outcome"] == "passed"


def test_a_card_newer_than_the_wheel_is_refused_before_the_build_with_what_would_work(here: Here) -> None:
    with pytest.raises(IncompatibleError) as refused:
        here("NVIDIA GeForce RTX 5090").gate(plan_of("gpu-torch-2.6").env)
    assert refused.value.message.startswith("gpu-torch-2.6: ")
    assert "gpu-torch-2.1" in refused.value.next_step


def test_without_a_gpu_the_env_goes_on_and_its_gpu_part_is_a_skip_with_the_cause(here: Here) -> None:
    outside = here(driver="", libraries=[], module_files=[])
    env = plan_of("gpu-torch-2.13").env
    outside.gate(env)
    assert not outside.gpus(env)
    check = gpu_check(outside)
    assert check["outcome"] == "skipped"
    assert check["reason"].startswith("NO_GPU: ")


def test_where_a_gpu_is_required_its_absence_is_a_failure(here: Here) -> None:
    assert gpu_check(here(driver="", libraries=[], module_files=[], require_gpu=True))["outcome"] == "failed"


def test_a_gpu_that_is_here_and_cannot_be_used_is_a_failure_with_its_cause(here: Here) -> None:
    outside = here("NVIDIA A100-SXM4-40GB", returns={"cuInit": 999})
    assert not outside.gpus(plan_of("gpu-torch-2.13").env)
    check = gpu_check(outside)
    assert check["outcome"] == "failed"
    assert check["found"]["verdict"] == "unusable"
    # What the page of the report shows: the cause with its remedy, and each layer that was looked at.
    diagnosis = check["data"]["diagnosis"]
    assert diagnosis["causes"][0]["label"] == check["found"]["causes"][0]
    assert diagnosis["causes"][0]["remedy"]
    assert "broken" in {layer["state"] for layer in diagnosis["layers"]}


NO_ROOM = {"outcome": "skipped", "reason": "300 of 81920 MiB free on the GPU", "data": {"no_room": True}}


@pytest.mark.parametrize(("required", "outcome"), [(False, "skipped"), (True, "failed")])
def test_a_gpu_without_room_for_the_checks_is_no_pass(here: Here, required: bool, outcome: str) -> None:
    check = gpu_check(here("NVIDIA H100 80GB HBM3", require_gpu=required), NO_ROOM)
    assert (check["outcome"], check["reason"]) == (outcome, NO_ROOM["reason"])


@pytest.mark.parametrize(("required", "outcome"), [(False, "skipped"), (True, "failed")])
def test_a_gpu_that_others_have_filled_is_their_moment_and_no_fault(here: Here, required: bool, outcome: str) -> None:
    taken = {"model": "NVIDIA H100 80GB HBM3", "memory_free": 10 << 20}
    full = here(require_gpu=required, gpus=[taken], returns={"cuDevicePrimaryCtxRetain": 2})
    check = gpu_check(full)
    assert (check["outcome"], check["reason"].split(":")[0]) == (outcome, "OOM_OTHER_PROCESS")


def test_of_several_gpus_the_named_one_is_judged_and_used(here: Here) -> None:
    cards = ("Tesla K80", "NVIDIA A100-SXM4-40GB")
    env = plan_of("gpu-torch-2.13").env
    here(*cards, named=("1",)).gate(env)
    assert here(*cards, named=("1",)).gpus(env) == ("1",)
    assert here(*cards, named=("1",)).gpus(plan_of("cpu-torch-2.13").env) == ()
    with pytest.raises(IncompatibleError, match="Tesla K80"):
        here(*cards, named=("0",)).gate(env)
    with pytest.raises(UsageError, match="--gpus 2: this machine has 0, 1"):
        here(*cards, named=("1", "2")).gate(env)


def test_a_run_that_asked_for_no_gpu_is_a_skip_that_says_so_on_any_machine(here: Here) -> None:
    outside = here("Tesla K80", named=NONE)
    plan = replace(plan_of("gpu-torch-2.13"), gpus=NONE)
    outside.gate(plan.env)
    assert outside.gpus(plan.env) == NONE
    assert not plan.gpu
    check = gpu_check(outside, plan=plan)
    assert (check["outcome"], check["reason"]) == ("skipped", "it was to run without a GPU: --gpus none")


def test_a_gpu_session_is_the_newest_that_this_machine_can_run_and_newer_ones_have_their_reasons(here: Here) -> None:
    picked, remarks = here("NVIDIA A100-SXM4-40GB", driver="535.183.01").pick(["gpu-torch", "cpu-torch", "gpu-tf1"])
    assert [env.name for env in picked] == ["gpu-torch-2.9", "cpu-torch-2.13", "gpu-tf1-1.15"]
    (said,) = remarks
    assert said.startswith("gpu-torch: takes gpu-torch-2.9, the newest that this machine can run (gpu-torch-2.15: ")
    assert "gpu-torch-2.11: CUDA 13.0 needs driver 580 or newer, this machine has 535.183.01" in said


def test_a_cell_that_is_named_is_taken_and_without_a_gpu_the_newest(here: Here) -> None:
    old = here("NVIDIA A100-SXM4-40GB", driver="535.183.01")
    assert [env.name for env in old.pick(["gpu-torch-2.13"])[0]] == ["gpu-torch-2.13"]
    none = here(driver="", libraries=[], module_files=[])
    assert ([env.name for env in none.pick(["gpu-torch"])[0]], none.pick(["gpu-torch"])[1]) == (["gpu-torch-2.15"], ())
    assert [env.name for env in here("Tesla K80", named=NONE).pick(["gpu-torch"])[0]] == ["gpu-torch-2.15"]
