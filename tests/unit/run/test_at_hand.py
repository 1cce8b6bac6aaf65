"""Where the Python of the newest cell is missing, something runs, and says what and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dlmatrix.engines.pythons import Pythons
from dlmatrix.matrix.load import select
from dlmatrix.matrix.model import Lock, Matrix, Site
from dlmatrix.run import at_hand
from dlmatrix.run.at_hand import AtHand
from dlmatrix.system.process import Say

Script = Callable[..., Path]

OWN = "3.99"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_hand, "OWN", OWN)


@dataclass(frozen=True, kw_only=True)
class Some(Pythons):
    """A machine with some Pythons, and locks that are whole for the one this runs on."""

    site: Site = field(default_factory=Site)
    uv: str = "uv"
    here: tuple[str, ...]
    brings: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    brought: list[str] = field(default_factory=list)

    def find(self, root: Path, version: str) -> Path | None:
        return Path(f"python{version}") if version in (*self.here, *self.brought) else None

    def bring(self, root: Path, version: str, say: Say) -> str:
        if version not in self.brings:
            return "no such host"
        self.brought.append(version)
        return ""

    def fits(self, root: Path, lock: Lock, version: str) -> str:
        return "" if lock.file.stem in self.whole else "no wheels"


def chosen(matrix: Matrix, pythons: Some, *names: str) -> tuple[list[tuple[str, str]], str]:
    told: list[str] = []
    envs = AtHand(matrix=matrix, pythons=pythons).choose(names, select(matrix, names), told.append)
    return [(env.name, env.python) for env in envs], "\n".join(told)


@pytest.mark.parametrize(
    ("pythons", "env", "says"),
    [
        (Some(here=("3.11",)), ("cpu-torch-2.13", "3.11"), ""),
        (Some(here=(), brings=("3.11",)), ("cpu-torch-2.13", "3.11"), "uv has brought it"),
        (
            Some(here=("3.10",)),
            ("cpu-tf2-2.10", "3.10"),
            "cpu-torch: takes cpu-tf2-2.10 on Python 3.10 (cpu-torch-2.13 ",
        ),
        (Some(here=(OWN,), whole=("cpu-tf2-2.21",)), ("cpu-tf2-2.21", OWN), f"takes cpu-tf2-2.21 on Python {OWN}"),
        (Some(here=(OWN,)), ("cpu-torch-2.13", "3.11"), f"no other env can run on Python {OWN} either"),
    ],
    ids=["here", "brought", "another series", "a lock that is whole for it", "nothing"],
)
def test_the_newest_that_has_a_python(matrix: Matrix, pythons: Some, env: tuple[str, str], says: str) -> None:
    found, told = chosen(matrix, pythons, "cpu-torch")
    assert found == [env]
    assert says in told
    assert bool(told) == bool(says)


def test_a_cell_that_is_named_and_one_of_several_are_never_another(matrix: Matrix) -> None:
    pythons = Some(here=("3.10",))
    assert chosen(matrix, pythons, "cpu-torch-2.13")[0] == [("cpu-torch-2.13", "3.11")]
    found, told = chosen(matrix, pythons, "cpu-torch", "cpu-tf2")
    assert found == [("cpu-torch-2.13", "3.11"), ("cpu-tf2-2.10", "3.10")]
    assert "could not bring it: no such host" in told


def test_what_uv_says_is_one_line_without_an_address(checkout: Path, script: Script) -> None:
    says = (
        "error: Failed to install cpython-3.99\\n  cause: client error\\n  cause: no answer of https://me:secret@host/x"
    )
    uv = script(f"printf '{says}' >&2; exit 1")
    told: list[str] = []
    why = Pythons(site=Site(), uv=str(uv)).bring(checkout, "3.99", told.append)
    assert why == "Failed to install cpython-3.99: no answer of it"
    assert told == ["Python 3.99 is not on this machine: uv looks for it"]


def test_what_uv_brings_is_found_in_the_working_folder(checkout: Path, script: Script) -> None:
    there = "cpython-3.99.1-linux-x86_64-gnu/bin"
    uv = script(
        f'mkdir -p "$UV_PYTHON_INSTALL_DIR/{there}"\n'
        f'printf \'#!/bin/sh\\nprintf "%%s\\\\n" 3.99 /brought True\' >"$UV_PYTHON_INSTALL_DIR/{there}/python3.99"\n'
        f'chmod +x "$UV_PYTHON_INSTALL_DIR/{there}/python3.99"'
    )
    pythons = Pythons(site=Site(), uv=str(uv))
    assert pythons.find(checkout, "3.99") is None
    assert pythons.bring(checkout, "3.99", lambda line: None) == ""
    assert pythons.find(checkout, "3.99") == Path("/brought")
    assert (checkout / ".dlmatrix" / "pythons" / there).is_dir()
