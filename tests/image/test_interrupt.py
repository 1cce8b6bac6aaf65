"""Ctrl-C at the two moments of a container's life that a test of the whole command line cannot hit on purpose."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container, ContainerCollection

from dlmatrix.engines.docker.engine import DockerEngine
from tests.image.support import containers, plan_of


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Press Ctrl-C when the engine has just done this."""
    really = getattr(owner, name)

    def then_interrupt(*arguments: Any, **options: Any) -> Any:
        done = really(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(owner, name, then_interrupt)


def test_while_the_container_is_made(
    engine: DockerEngine, client: Any, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(checkout, "cpu-torch-2.13")
    prepared = engine.prepare(plan, print)
    interrupt_after(monkeypatch, ContainerCollection, "create")
    with pytest.raises(KeyboardInterrupt):
        engine.run(plan, prepared, print)
    assert containers(client, checkout) == []


def test_twice_while_it_is_removed(
    engine: DockerEngine, client: Any, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(checkout, "cpu-torch-2.13")
    prepared = engine.prepare(plan, print)
    really = Container.remove

    def interrupted(self: Container, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        really(self, **options)

    monkeypatch.setattr(Container, "remove", interrupted)

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run(plan, prepared, interrupt)
    assert containers(client, checkout) == []
