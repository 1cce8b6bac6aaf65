"""GPUs are asked for in a way that the engine has: its own option, else the devices of a CDI specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import docker
import pytest

from dlmatrix.engines.docker.container import command_line, confined
from dlmatrix.engines.docker.gpus import by_cdi, by_hook, first_to_start, ways
from dlmatrix.errors import GpuRefusedError
from dlmatrix.matrix.plan import ALL, Limits

DOCKER_28 = {"ApiVersion": "1.51", "Components": [{"Name": "Engine"}]}
DOCKER_27 = {"ApiVersion": "1.47", "Components": [{"Name": "Engine"}]}
PODMAN = {"ApiVersion": "1.44", "Components": [{"Name": "Podman Engine", "Version": "5.8.6"}]}
LISTS = {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}], "CDISpecDirs": ["/etc/cdi"]}
OTHERS = {"DiscoveredDevices": [{"Source": "cdi", "ID": "vendor.example/net=0"}], "CDISpecDirs": ["/etc/cdi"]}
LISTS_NONE = {"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}

NO_HOOK = 'could not select device driver "" with capabilities: [[gpu]]'
BROKEN_HOOK = "nvidia-container-cli: initialization error: nvml error: driver not loaded"
NO_DEVICE = "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=7"


@pytest.mark.parametrize(
    ("info", "version", "expected"),
    [
        (LISTS, DOCKER_28, ["hook", "cdi"]),
        (LISTS | {"Runtimes": {"nvidia": {}}}, DOCKER_28, ["hook", "cdi"]),
        (OTHERS, DOCKER_28, ["hook"]),
        (LISTS_NONE, DOCKER_28, ["hook"]),
        ({}, DOCKER_28, ["hook"]),
        # An older engine does not tell its devices; that it has folders for them says that CDI was turned on.
        (LISTS_NONE, DOCKER_27, ["hook", "cdi"]),
        ({"CDISpecDirs": None}, DOCKER_27, ["hook"]),
        ({}, {}, ["hook"]),
        ({}, PODMAN, ["cdi"]),
    ],
)
def test_the_ways_that_an_engine_has(info: dict[str, Any], version: dict[str, Any], expected: list[str]) -> None:
    named = {"hook": by_hook(ALL), "cdi": by_cdi(ALL)}
    assert list(ways(info, version, ALL)) == [named[name] for name in expected]
    assert ways(info, version, ()) == ()


@pytest.mark.parametrize(
    ("gpus", "hook", "cdi"),
    [
        (("all",), {"count": -1}, ["nvidia.com/gpu=all"]),
        (("0", "2"), {"device_ids": ["0", "2"]}, ["nvidia.com/gpu=0", "nvidia.com/gpu=2"]),
        (
            ("GPU-8a", "MIG-9b"),
            {"device_ids": ["GPU-8a", "MIG-9b"]},
            ["nvidia.com/gpu=GPU-8a", "nvidia.com/gpu=MIG-9b"],
        ),
    ],
)
def test_which_gpus_is_handed_on_as_it_was_said(gpus: tuple[str, ...], hook: dict[str, Any], cdi: list[str]) -> None:
    assert by_hook(gpus).request == {**hook, "capabilities": [["gpu"]]}
    assert by_cdi(gpus).request == {"driver": "cdi", "device_ids": cdi}
    shown = command_line(confined("image", [], Limits()) | {"device_requests": [by_cdi(gpus).request]})
    assert [shown[i + 1] for i, word in enumerate(shown) if word == "--device"] == cdi
    # What the SDK makes of it is what `docker run` sends.
    made = docker.types.DeviceRequest(**by_hook(gpus).request)
    assert (made["Driver"], made["Count"], made["DeviceIDs"], made["Capabilities"]) == (
        "",
        hook.get("count", 0),
        hook.get("device_ids", []),
        [["gpu"]],
    )


class Engine:
    """Refuses what it has words for."""

    def __init__(self, **refusals: str) -> None:
        self.refusals, self.started = refusals, list[Any]()

    def start(self, more: Mapping[str, Any]) -> None:
        """Start a container with these options on top."""
        (request,) = more.get("device_requests", [{}])
        kind = "cdi" if request.get("driver") == "cdi" else "hook"
        if kind in self.refusals:
            raise docker.errors.APIError("500", explanation=self.refusals[kind])
        self.started.append(dict(more))


@pytest.mark.parametrize(
    ("refusals", "said"),
    [
        ({}, "0, 2 by the engine's GPU option"),
        ({"hook": NO_HOOK}, "nvidia.com/gpu=0, nvidia.com/gpu=2 by CDI"),
        ({"hook": BROKEN_HOOK}, "nvidia.com/gpu=0, nvidia.com/gpu=2 by CDI"),
    ],
)
def test_the_first_that_is_not_refused_is_taken_and_named(refusals: dict[str, str], said: str) -> None:
    engine = Engine(**refusals)
    assert first_to_start(engine.start, ways(LISTS, DOCKER_28, ("0", "2"))) == said
    assert len(engine.started) == 1


@pytest.mark.parametrize(
    ("info", "refusals", "told"),
    [
        (LISTS_NONE, {"hook": NO_HOOK}, NO_HOOK),
        # Where CDI was to do it, a hook that is not there explains nothing.
        (LISTS, {"hook": NO_HOOK, "cdi": NO_DEVICE}, NO_DEVICE),
        (LISTS, {"hook": BROKEN_HOOK, "cdi": NO_DEVICE}, f"{BROKEN_HOOK}\n{NO_DEVICE}"),
    ],
)
def test_where_all_are_refused_the_words_that_explain_it_are_told(
    info: dict[str, Any], refusals: dict[str, str], told: str
) -> None:
    with pytest.raises(GpuRefusedError) as refused:
        first_to_start(Engine(**refusals).start, ways(info, DOCKER_28, ALL))
    assert refused.value.message == told


def test_without_gpus_a_container_is_asked_for_none_and_its_refusal_is_its_own() -> None:
    engine = Engine()
    assert (first_to_start(engine.start, ()), engine.started) == ("", [{}])
    with pytest.raises(docker.errors.APIError):
        first_to_start(Engine(hook="no space left on device").start, ())
