"""One value says how a container is confined: what the SDK is told and the command that people see come from it."""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import docker.errors
import pytest

from dlmatrix.engines.docker import images as images_module
from dlmatrix.engines.docker.container import (
    USER,
    Options,
    command_line,
    confined,
    container_options,
    run_command,
)
from dlmatrix.engines.docker.detect import detect_in_container
from dlmatrix.engines.docker.images import Images
from dlmatrix.engines.docker.recipe import build_command
from dlmatrix.errors import DlmatrixError, EngineError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import ALL, NONE, ChosenBase, Limits, Plan, make_plan
from dlmatrix.system.process import Finished

BASE = ChosenBase(ref="python@sha256:" + "1" * 64, identity="sha256:" + "1" * 64, kind="official")
LIMITS = Limits(cpus=1.5, memory_bytes=1 << 30, pids=64, shm_bytes=64 << 20, tmp_bytes=128 << 20)

#: What confines every container, as the SDK's option and its value, and as words of docker run.
CONFINEMENT: dict[str, tuple[Any, str]] = {
    "network_mode": ("none", "--network none"),
    "read_only": (True, "--read-only"),
    "cap_drop": (["ALL"], "--cap-drop ALL"),
    "security_opt": (["no-new-privileges"], "--security-opt no-new-privileges"),
    "pids_limit": (64, "--pids-limit 64"),
    "mem_limit": (1 << 30, "--memory 1073741824"),
    "memswap_limit": (1 << 30, "--memory-swap 1073741824"),
    "shm_size": (64 << 20, "--shm-size 67108864"),
    "nano_cpus": (1_500_000_000, "--cpus 1.5"),
}
#: What is not the same for all of them.
OTHERWISE: dict[str, tuple[Callable[[], Options], dict[str, tuple[Any, str]]]] = {
    "a program of the image": (
        lambda: confined("image", ["a", "b c"], LIMITS),
        {
            "user": (USER, f"--user {USER}"),
            "tmpfs": (
                {"/tmp": "rw,nosuid,nodev,size=134217728,mode=1777"},
                "--tmpfs /tmp:rw,nosuid,nodev,size=134217728,mode=1777",
            ),
            "log_config": ({"Type": "none"}, "--log-driver none"),
        },
    ),
    "detection, whose output is asked for afterwards": (
        lambda: confined("image", ["a", "b c"], LIMITS, entrypoint="python", keeps_output=True),
        {
            "user": (USER, f"--user {USER}"),
            "tmpfs": (
                {"/tmp": "rw,nosuid,nodev,size=134217728,mode=1777"},
                "--tmpfs /tmp:rw,nosuid,nodev,size=134217728,mode=1777",
            ),
            "log_config": (
                {"Type": "json-file", "Config": {"max-size": "64m"}},
                "--log-driver json-file --log-opt max-size=64m",
            ),
            "entrypoint": ("python", "--entrypoint python"),
        },
    ),
    "a look at the image's files": (
        lambda: confined("image", ["a", "b c"], LIMITS, user="0:0", entrypoint="find", reads_everything=True),
        {
            "user": ("0:0", "--user 0:0"),
            "cap_add": (["DAC_READ_SEARCH"], "--cap-add DAC_READ_SEARCH"),
            "log_config": ({"Type": "none"}, "--log-driver none"),
            "entrypoint": ("find", "--entrypoint find"),
        },
    ),
}
GPUS: dict[tuple[str, ...], str] = {
    (): "",
    NONE: "",
    ALL: "--gpus all",
    ("0",): """--gpus '"device=0"'""",
    ("0", "2"): """--gpus '"device=0,2"'""",
}


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    env = select(matrix, ["cpu-tf1-1.15"])[0]
    return make_plan(matrix, env, lock_of(matrix, env), "0.13.9", LIMITS)


@pytest.mark.parametrize("kind", OTHERWISE)
def test_what_the_sdk_is_told_and_what_is_shown_are_one_table(kind: str) -> None:
    make, own = OTHERWISE[kind]
    options, rows = make(), CONFINEMENT | own
    assert options == {"image": "image", "command": ["a", "b c"], **{name: value for name, (value, _) in rows.items()}}
    shown = shlex.join(command_line(options))
    assert shown.startswith("docker run --rm ")
    assert shown.endswith(" image a 'b c'")
    flags = shown.removeprefix("docker run --rm ").removesuffix(" image a 'b c'")
    assert sorted(flags.split()) == sorted(" ".join(words for _, words in rows.values()).split())
    for _, words in rows.values():
        assert f" {words} " in f" {flags} "


def test_an_option_that_cannot_be_shown_is_no_option() -> None:
    with pytest.raises(KeyError, match="privileged"):
        command_line(confined("image", [], LIMITS) | {"privileged": True})


def test_the_container_of_the_checks(plan: Plan) -> None:
    assert container_options(plan) == confined(plan.env.tag, plan.smoke_arguments(hermetic=True), LIMITS)
    assert run_command(plan) == command_line(container_options(plan))
    assert "nano_cpus" not in container_options(replace(plan, limits=Limits()))


@pytest.mark.parametrize("gpus", GPUS)
def test_the_command_shown_asks_for_the_gpus(plan: Plan, gpus: tuple[str, ...]) -> None:
    plan = replace(plan, gpus=gpus)
    without = command_line(container_options(plan))
    ends = len(plan.smoke_arguments(hermetic=True)) + 1
    assert run_command(plan) == [*without[:-ends], *shlex.split(GPUS[gpus]), *without[-ends:]]


def test_an_image_is_looked_at_in_such_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run_docker(command: list[str], **_: Any) -> Finished:
        ran.append(command)
        return Finished(exit_code=0, stdout=b"seen", said="", timed_out=False)

    monkeypatch.setattr(images_module, "run_docker", run_docker)
    assert Images(None).look("image", "find", "/", "-xdev") == b"seen"
    options = confined("image", ["/", "-xdev"], Limits(), user="0:0", entrypoint="find", reads_everything=True)
    (name,) = (word for word in ran[0] if word.startswith("--name="))
    assert ran == [command_line(options, name)]


@pytest.mark.parametrize(
    ("end", "left"),
    [
        *((0, False), (1, False), (125, False), (-9, True), (130, True)),
        *((KeyboardInterrupt(), True), (EngineError("there is no docker command"), False)),
    ],
)
def test_an_interrupted_look_leaves_no_container(
    end: int | BaseException, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A docker command that a signal ends as it makes a container has not come to --rm's end."""
    ran: list[list[str]] = []
    gone: list[str] = []

    def run_docker(command: list[str], **_: Any) -> Finished:
        ran.append(command)
        if isinstance(end, BaseException):
            raise end
        return Finished(exit_code=end, stdout=b"", said="", timed_out=False)

    monkeypatch.setattr(images_module, "run_docker", run_docker)
    monkeypatch.setattr(images_module, "_PAUSE", 0)
    not_yet = [docker.errors.NotFound("the engine is still making it")] * 2

    def remove_container(name: str, *, force: bool) -> None:
        if not_yet:
            raise not_yet.pop()
        gone.append(name)

    api = SimpleNamespace(remove_container=remove_container)
    with contextlib.suppress(KeyboardInterrupt, DlmatrixError):
        Images(SimpleNamespace(api=api)).look("image", "find", "/")
    named = [word.removeprefix("--name=") for word in ran[0] if word.startswith("--name=")]
    assert (len(named), gone) == (1, named if left else [])


class Engine:
    """A Docker client of which one container is asked for."""

    def __init__(self) -> None:
        self.asked: Options = {}
        self.images = self.containers = self

    def info(self) -> dict[str, str]:
        """It tells nothing of itself."""
        return {}

    version = info

    def get(self, image: str) -> None:
        """Every image is there."""

    def create(self, **options: Any) -> Engine:
        """The container is this."""
        self.asked = options
        return self

    def start(self) -> None:
        """It starts."""

    def wait(self, timeout: int) -> None:
        """It ends."""

    def logs(self, *, stdout: bool, **_: bool) -> Iterator[bytes]:
        """What it printed."""
        return iter((b"{", b"}") if stdout else ())

    def remove(self, **_: bool) -> None:
        """It is gone."""


def test_detection_runs_in_such_a_container() -> None:
    engine = Engine()
    assert detect_in_container(engine, "image", ["--json", "-"], gpus=(), seconds=1)
    command = ["-m", "smoke.detect", "--json", "-"]
    options = confined("image", command, Limits(), entrypoint="python", keeps_output=True)
    assert engine.asked == options | {"labels": {}}


class Speaking(Engine):
    """One whose detection ends only when what it said first was heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.first_heard = threading.Event()

    def hear(self, line: str) -> None:
        """What the doctor is told."""
        self.heard.append(line)
        self.first_heard.set()

    def wait(self, timeout: int) -> None:
        """It ends."""
        assert self.first_heard.wait(60), "nothing was heard while it ran"

    def logs(self, *, stdout: bool, **_: bool) -> Iterator[bytes]:
        """Its stderr in the pieces that an engine sends, which are not lines."""
        return iter((b"{", b"}") if stdout else (b'{"witness": "ker', b'nel"}\n{"witn', b'ess": "nvml"}\n'))


def test_what_detection_says_in_a_container_is_heard_while_it_runs() -> None:
    engine = Speaking()
    started = detect_in_container(engine, "image", ["--json", "-"], gpus=(), seconds=1, hear=engine.hear)
    assert started is not None
    assert started.stdout == b"{}"
    assert engine.heard == ['{"witness": "kernel"}', '{"witness": "nvml"}']


class Flooding(Engine):
    """One whose image prints without end."""

    def logs(self, *, stdout: bool, **_: bool) -> Iterator[bytes]:
        """200 MB, without the end of a line on stderr."""
        return iter([b"x" * 1_000_000] * 200)


def test_of_what_an_image_prints_without_end_so_much_is_kept_as_shows_it() -> None:
    heard: list[str] = []
    started = detect_in_container(Flooding(), "image", ["--json", "-"], gpus=(), seconds=1, hear=heard.append)
    assert started is not None
    assert len(started.stdout) < 100_000_000
    assert heard
    assert max(map(len, heard)) < 2_000_000


def test_the_build_command(plan: Plan) -> None:
    command = build_command(plan, BASE, {"uv": "/ctx/uv", "env": "oci-layout:///env@sha256:0"})
    labels = [word for name, value in plan.labels(BASE).items() for word in ("--label", f"{name}={value}")]
    assert command == [
        *("docker", "buildx", "build", "--builder", "default", "--progress", "plain"),
        *("--file", str(plan.root / "docker" / "Dockerfile"), "--provenance=false", "--sbom=false"),
        *("--build-arg", f"BASE={BASE.ref}"),
        *("--build-arg", "PYTHON=3.7"),
        *("--build-arg", "VARIANT=cpu"),
        *("--build-arg", "SOURCE_DATE_EPOCH=1700000000"),
        *("--build-context", "uv=/ctx/uv"),
        *("--build-context", "env=oci-layout:///env@sha256:0"),
        *labels,
        *("--output", "type=image,name=dlmatrix:cpu-tf1-1.15,compression=uncompressed,oci-mediatypes=true"),
        str(plan.root),
    ]


def test_without_a_docker_command_a_look_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no docker command on the PATH"):
        Images(None).look("image", "cat", "/x")
