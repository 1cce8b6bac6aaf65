"""What is rebuilt, and from where: names, and the second checkout that differs in all that must not matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.wheels import Workshop
from dlmatrix.errors import UsageError
from dlmatrix.inspection.digests import Identity, Made
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Base, Matrix
from dlmatrix.matrix.plan import ChosenBase, Plan, debian
from dlmatrix.upkeep.reproduce import Rebuilding, elsewhere, name_of, things_of


@pytest.mark.parametrize(
    ("asked", "named"), [("cpu-tf2-2.21", "cpu-tf2-2.21"), ("base-3.11", "base-3.11"), ("cpu-tf1", "cpu-tf1-1.15")]
)
def test_an_env_and_a_base_have_names(matrix: Matrix, asked: str, named: str) -> None:
    assert [name_of(thing) for thing in things_of(matrix, asked)] == [named]


def test_a_name_of_neither(matrix: Matrix) -> None:
    with pytest.raises(UsageError, match=r"base-2\.7"):
        things_of(matrix, "base-2.7")


def test_the_second_checkout_differs_in_place_modes_and_dates_and_in_nothing_else(checkout: Path) -> None:
    before = {file.relative_to(checkout): file.read_bytes() for file in checkout.rglob("*") if file.is_file()}
    with elsewhere(checkout) as copy:
        assert copy != checkout
        files = {file.relative_to(copy): file for file in copy.rglob("*") if file.is_file()}
        assert {name: file.read_bytes() for name, file in files.items()} == before
        assert {file.stat().st_mtime for file in copy.rglob("*")} == {1_000_000_000}
        assert (copy / "smoke" / "model.py").stat().st_mode & 0o777 == 0o600
        assert (copy / "docker" / "make-base").stat().st_mode & 0o777 == 0o700
        assert load_matrix(copy).envs[0].name == load_matrix(checkout).envs[0].name
    assert not list((checkout / ".dlmatrix").glob("tmp-*"))


MADE = Made(buildkit="v0.20", store="containerd", platform="linux/amd64")


class Shelf:
    """An engine with images by name, whose builds all come out as it is told."""

    def __init__(self, comes_out: str, **there: str) -> None:
        self.images = self
        self.there = there
        self.comes_out = comes_out
        self.built: list[tuple[str, Path]] = []
        self.removed: list[str] = []

    def choose_base(self, base: Base) -> ChosenBase:
        return debian(base, "sha256:base")

    def up_to_date(self, plan: Plan, base: ChosenBase) -> str | None:
        return self.there.get(plan.env.tag)

    def build(self, plan: Plan, base: ChosenBase, say: Callable[[str], None], *, tag: str, workshop: Workshop) -> None:
        self.built.append((tag, plan.root))
        self.there[tag] = self.comes_out
        Path(workshop.extra[-1]).write_text("{}")

    def identity(self, ref: str, config: str = "") -> Identity:
        return Identity(manifest=self.there[ref], config=config, layers=("sha256:base", self.there[ref]))

    def remove(self, ref: str) -> None:
        self.removed.append(ref)

    def prune_cache(self, name: str) -> None:
        pass

    def below(self, prefix: str) -> dict[str, list[str]]:
        return {f"{prefix}tmp-0": [f"{prefix}tmp-0:1"]}


@pytest.mark.parametrize(
    ("there", "code", "said"),
    [
        ("sha256:1", 0, "same twice: sha256:1 (manifest digest, layers; "),
        ("sha256:2", 1, "differs: layer 2 of 2"),
        ("", 2, "dlmatrix:cpu-torch-2.13 is not on the engine as this checkout builds it\n  next: build it: "),
    ],
)
def test_an_image_of_a_run_is_held_against_one_build_of_another_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, there: str, code: int, said: str
) -> None:
    matrix, tag = load_matrix(checkout), "dlmatrix:cpu-torch-2.13"
    shelf: Any = Shelf("sha256:1", **({tag: there} if there else {}))
    monkeypatch.setattr(Rebuilding, "_explain", lambda self, one, two: [])
    with Rebuilding(shelf, matrix, MADE, print, "tmp-1") as work:
        (verdict,) = work.against_image(things_of(matrix, "cpu-torch-2.13"), {})
    assert (verdict.exit_code, said in verdict.text) == (code, True), verdict.text
    ((built, root),) = shelf.built
    assert root != checkout
    assert shelf.removed[1:] == [built]
    assert shelf.removed[0].endswith("-tmp-0:1")  # of a run that was killed
    assert built != tag
