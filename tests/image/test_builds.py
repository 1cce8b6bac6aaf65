"""Two envs at once, and the room on the disk that a build is held against."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.errors import DiskFullError
from dlmatrix.matrix.site import read_site
from dlmatrix.system.process import in_threads
from tests.image.support import change_lock, plan_of
from tests.image.tiny import add_tiny, site

#: The small one has a version that no other module's has.
BIG, NAME = "cpu-torch-2.13", "cpu-torch-1.1"


def test_the_second_begins_when_the_first_is_compressed(engine: DockerEngine, checkout: Path, tmp_path: Path) -> None:
    add_tiny(checkout, tmp_path / "wheels", "1.1.0")
    change_lock(checkout, BIG)
    change_lock(checkout, NAME)
    here = read_site(os.environ)
    wheels = replace(here, find_links=(*here.find_links, tmp_path / "wheels"))
    both = DockerEngine(engine.client, wheels, "auto")
    happened: list[str] = []
    begun = threading.Event()

    def build(name: str) -> None:
        def say(line: str) -> None:
            happened.append(f"{name}: {line}")
            begun.set()

        both.prepare(plan_of(checkout, name), say)
        happened.append(f"{name} is built")

    def second() -> None:
        assert begun.wait(60)
        build(NAME)

    try:
        in_threads([lambda: build(BIG), second], both.builds_at_once)
    finally:
        engine.images.remove(plan_of(checkout, NAME).env.tag)
    exports = next(i for i, line in enumerate(happened) if line.startswith(BIG) and "exporting to image" in line)
    begins = next(i for i, line in enumerate(happened) if line.startswith(f"{NAME}: "))
    assert exports < begins < happened.index(f"{BIG} is built")


def test_only_what_is_not_there_yet_needs_room(client: Any, checkout: Path, tmp_path: Path) -> None:
    add_tiny(checkout, tmp_path / "wheels", "1.1.0")
    engine = DockerEngine(client, site(tmp_path / "wheels"), "auto")
    try:
        assert engine.prepare(plan_of(checkout, NAME), print).built
        file = checkout / "envs" / "torch-1.1.toml"
        file.write_text(file.read_text().replace("size-budget-mb = 400", "size-budget-mb = 999999"))
        (checkout / "smoke" / "__main__.py").write_text("raise SystemExit\n")
        assert engine.prepare(plan_of(checkout, NAME), print).built
        change_lock(checkout, NAME)
        plan = plan_of(checkout, NAME)
        with pytest.raises(DiskFullError, match=f"needs about {plan.disk_bytes / 1e9:.1f} GB"):
            engine.prepare(plan, print)
    finally:
        engine.images.remove(plan_of(checkout, NAME).env.tag)
