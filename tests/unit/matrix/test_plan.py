"""A plan is a pure function of its inputs: its key, labels and commands say nothing of time or place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import (
    HANGS_SECONDS,
    ChosenBase,
    Limits,
    Measuring,
    Plan,
    changed_since,
    debian,
    make_plan,
    official,
    quick,
)

BASE = ChosenBase(ref="python@sha256:" + "1" * 64, identity="sha256:" + "1" * 64, kind="official")


def plan_of(root: Path, name: str = "cpu-tf1-1.15") -> Plan:
    """TensorFlow 1.15 has every kind of input, locked build requirements included."""
    matrix = load_matrix(root)
    env = select(matrix, [name])[0]
    return make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits())


@pytest.fixture
def plan(checkout: Path) -> Plan:
    return plan_of(checkout)


def append(name: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        with (root / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")

    return edit


INPUTS: dict[str, Callable[[Path], None]] = {
    "the Dockerfile": append("docker/Dockerfile"),
    "the script that builds wheels": append("docker/build-wheels"),
    "the script that finishes an env": append("docker/finish-env"),
    "the compile script": append("docker/compile-bytecode"),
    "the lock": append("envs/locks/cpu-tf1-1.15.txt"),
    "the lock of build requirements": append("envs/locks/cpu-tf1-1.15.build.txt"),
    "a check": append("smoke/model.py"),
    "a new check": lambda root: (root / "smoke" / "checks" / "another.py").touch(),
    "a check's name": lambda root: (root / "smoke" / "model.py").replace(root / "smoke" / "cnn.py") and None,
    "data": append("smoke/schema.json"),
    "no lock of build requirements": lambda root: (root / "envs/locks/cpu-tf1-1.15.build.txt").unlink(),
}
NO_INPUTS: dict[str, Callable[[Path], None]] = {
    "bytecode": lambda root: shutil.copytree(root / "envs" / "locks", root / "smoke" / "__pycache__") and None,
    "another env's lock": append("envs/locks/cpu-torch-2.13.txt"),
    "a comment in the env": append("envs/tf1-1.15.toml"),
    "another file of docker/": append("docker/make-base"),
    "dates": lambda root: (root / "smoke" / "model.py").touch(),
}


@pytest.mark.parametrize("change", INPUTS)
def test_each_input_changes_the_key(checkout: Path, plan: Plan, change: str) -> None:
    before = plan.key(BASE)
    INPUTS[change](checkout)
    assert plan_of(checkout).key(BASE) != before


@pytest.mark.parametrize("change", INPUTS)
def test_a_plan_says_the_same_of_its_image_whatever_changes_after_it_was_made(
    checkout: Path, plan: Plan, change: str
) -> None:
    before = plan.key(BASE)
    INPUTS[change](checkout)
    assert plan.labels(BASE)["dlmatrix.key"] == plan.key(BASE) == before
    assert changed_since(plan)


@pytest.mark.parametrize("change", NO_INPUTS)
def test_nothing_else_changes_the_key(checkout: Path, plan: Plan, change: str) -> None:
    before = plan.key(BASE)
    NO_INPUTS[change](checkout)
    assert plan_of(checkout).key(BASE) == before
    assert not changed_since(plan)


def test_values_that_change_the_key_and_values_that_do_not(plan: Plan) -> None:
    key = plan.key(BASE)
    assert plan.key(replace(BASE, identity="sha256:" + "2" * 64)) != key
    assert replace(plan, uv_version="0.13.10").key(BASE) != key
    assert replace(plan, env=replace(plan.env, python="3.8")).key(BASE) != key
    assert replace(plan, env=replace(plan.env, variant="gpu")).key(BASE) != key
    # The same base under another name, and how a container runs, are nothing the image holds.
    assert plan.key(replace(BASE, ref="mirror.example/python", kind="other")) == key
    assert replace(plan, limits=Limits(timeout_seconds=1, memory_bytes=1)).key(BASE) == key


def test_a_copy_elsewhere_has_the_same_key_and_labels(root: Path, checkout: Path) -> None:
    here, there = plan_of(root), plan_of(checkout)
    assert here.labels(BASE) == there.labels(BASE)
    assert here.labels(BASE)["dlmatrix.key"] == here.key(BASE)


def test_labels_say_nothing_of_time_user_or_place(plan: Plan) -> None:
    labels = plan.labels(BASE)
    assert labels == {
        "org.opencontainers.image.title": "dlmatrix cpu-tf1-1.15",
        "org.opencontainers.image.version": "1.15.5",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": "python",
        "org.opencontainers.image.base.digest": BASE.identity,
        "dlmatrix.env": "cpu-tf1-1.15",
        "dlmatrix.framework": "tensorflow",
        "dlmatrix.version": "1.15.5",
        "dlmatrix.python": "3.7",
        "dlmatrix.lock": f"sha256:{plan.lock.sha256}",
        "dlmatrix.key": plan.key(BASE),
    }


def test_the_dockerfile_declares_every_build_argument_and_no_other(plan: Plan) -> None:
    lines = (plan.root / "docker" / "Dockerfile").read_text().splitlines()
    declared = {line.split()[1].partition("=")[0] for line in lines if line.startswith("ARG ")}
    assert declared == plan.build_args(BASE).keys()


def test_the_checks_are_told_what_to_expect(plan: Plan) -> None:
    arguments = plan.smoke_arguments(hermetic=True)
    assert arguments[:6] == ["--framework", "tf1", "--json", "-", "--timeout", "600"]
    assert arguments[6:-1] == ["--throughput", "120", "--processes", "10", "--expect"]
    assert json.loads(arguments[-1]) == {
        "env": "cpu-tf1-1.15",
        "series": "tf1",
        "variant": "cpu",
        "distribution": "tensorflow",
        "version": "1.15.5",
        "cuda": None,
        "gpu": False,
        "hermetic": True,
    }


def test_what_is_measured_is_told_and_given_time(plan: Plan) -> None:
    fast = replace(plan, measuring=quick(plan.env))
    rows = "cnn/train/session/128/fp32/device,cnn/infer/session/128/fp32/device"
    assert fast.measuring.arguments() == ["--throughput", "60", "--processes", "1", "--rows", rows]
    assert Measuring(processes=1, only=True).arguments()[-2:] == ["--only", "throughput"]
    assert replace(plan, measuring=Measuring(seconds=0)).ends_within == plan.limits.timeout_seconds
    later = replace(plan, measuring=Measuring(later=True))
    assert later.ends_within == plan.limits.timeout_seconds
    assert later.measuring.arguments()[-1] == "--later"
    assert plan.ends_within == plan.limits.timeout_seconds + 120 + 60


def test_inside_and_outside_agree_on_the_rows_and_the_budget(matrix: Any) -> None:
    from smoke import __main__ as inside
    from smoke.throughput import collect, rows

    assert (Measuring().seconds, Measuring().processes) == (inside.THROUGHPUT_SECONDS, inside.PROCESSES)
    assert collect.GRACE == HANGS_SECONDS
    for env in matrix.envs:
        assert {row.id for row in rows.planned(env.framework, "cpu")} > set(quick(env).rows)


def test_a_local_version_and_an_extra_are_told_apart(checkout: Path) -> None:
    assert plan_of(checkout, "cpu-torch-2.13").expect()["version"] == "2.13.0+cpu"
    found = plan_of(checkout, "gpu-tf2-2.18").expect()
    assert (found["distribution"], found["version"]) == ("tensorflow", "2.18.1")


def test_the_two_kinds_of_base(plan: Plan) -> None:
    assert official(plan.base).ref == plan.base.image
    assert official(plan.base).identity == plan.base.image.partition("@")[2]
    made = debian(plan.base, "sha256:abc")
    assert (made.ref, made.identity, made.kind) == (
        f"dlmatrix-base:3.7-{plan.base.debian.suite}",
        "sha256:abc",
        "debian",
    )
