"""State that is half there, or not what it says, never passes for up to date."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.matrix.plan import Plan
from tests.image.support import plan_of
from tests.image.tiny import NAME, add_tiny, site

SUITE = "bookworm-poisoned"


@pytest.fixture
def wheels(checkout: Path, tmp_path: Path) -> Path:
    add_tiny(checkout, tmp_path / "wheels")
    return tmp_path / "wheels"


@pytest.fixture
def tiny(client: Any, wheels: Path, checkout: Path) -> Iterator[DockerEngine]:
    """An engine on which the tiny env has been built from this checkout; its image is removed afterwards."""
    engine = DockerEngine(client, site(wheels), "auto")
    plan = plan_of(checkout, NAME)
    assert built(engine, plan)
    assert not built(engine, plan)
    yield engine
    client.images.remove(plan.env.tag)


def built(engine: DockerEngine, plan: Plan) -> bool:
    """Whether a run had to build it."""
    prepared = engine.prepare(plan, lambda line: None)
    assert engine.up_to_date(plan, engine.choose_base(plan.base)) == prepared.what
    return prepared.built


def test_a_lock_that_was_edited(tiny: DockerEngine, checkout: Path) -> None:
    with (checkout / "envs" / "locks" / f"{NAME}.txt").open("a") as file:
        file.write("# edited\n")
    assert built(tiny, plan_of(checkout, NAME))


def test_a_script_that_was_edited(tiny: DockerEngine, checkout: Path) -> None:
    with (checkout / "docker" / "finish-env").open("a") as file:
        file.write("# edited\n")
    assert built(tiny, plan_of(checkout, NAME))


def test_a_state_file_that_is_half_written(tiny: DockerEngine, checkout: Path) -> None:
    for content in ("", "{", "[]", '{"key": "of another", "image": "sha256:0"}'):
        (file,) = (checkout / ".dlmatrix" / "built" / "docker").iterdir()
        file.write_text(content)
        assert built(tiny, plan_of(checkout, NAME)), content


def test_an_image_that_another_build_left_under_the_name(tiny: DockerEngine, checkout: Path, client: Any) -> None:
    plan = plan_of(checkout, NAME)
    client.images.get(tiny.choose_base(plan.base).ref).tag(plan.env.tag)
    assert built(tiny, plan)


def test_an_image_that_is_gone(tiny: DockerEngine, checkout: Path, client: Any) -> None:
    plan = plan_of(checkout, NAME)
    client.images.remove(plan.env.tag)
    assert built(tiny, plan)


def test_a_base_that_changed_behind_its_name(tiny: DockerEngine, checkout: Path, client: Any, tmp_path: Path) -> None:
    bases = checkout / "envs" / "bases.toml"
    bases.write_text(bases.read_text().replace('debian.suite = "bookworm"', f'debian.suite = "{SUITE}"'))
    plan = plan_of(checkout, NAME)
    client.images.get(plan.base.debian_tag.removesuffix("-poisoned")).tag(plan.base.debian_tag)
    try:
        assert not built(tiny, plan)  # the same base under another name
        (tmp_path / "Dockerfile").write_text(f"FROM {plan.base.debian_tag}\nRUN echo changed >/etc/changed\n")
        subprocess.run(
            [
                "docker",
                "buildx",
                "build",
                "--builder",
                "default",
                "--quiet",
                "--tag",
                plan.base.debian_tag,
                str(tmp_path),
            ],
            check=True,
            capture_output=True,
        )
        assert built(tiny, plan)
    finally:
        client.images.remove(plan.base.debian_tag)


def test_a_build_that_was_killed_while_it_wrote_the_image(tiny: DockerEngine, checkout: Path) -> None:
    """The engine may finish what a killed client began, or not: either way the next run ends with the right image."""
    with (checkout / "smoke" / "__init__.py").open("a") as file:
        file.write("# changed\n")
    changed = plan_of(checkout, NAME)

    def stop(line: str) -> None:
        if "exporting" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.build(changed, tiny.choose_base(changed.base), stop)
    assert built(tiny, changed)
    assert not built(tiny, changed)
