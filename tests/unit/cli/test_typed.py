"""Every command that is advised can be typed as it stands: in a checkout from a fresh shell, else where pip put it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix import errors
from dlmatrix.errors import UsageError, typed
from dlmatrix.upkeep import bases

Cli = Callable[..., tuple[int, str, str]]

TEXT = "`python -m dlmatrix list` shows them; or: nox -s lock -- ENV --write"
FRESH = "`.venv/bin/python -m dlmatrix list` shows them; or: .venv/bin/nox -s lock -- ENV --write"


def test_in_a_checkout_with_its_own_programs() -> None:
    assert typed(TEXT) == FRESH
    assert typed(FRESH) == FRESH
    assert str(UsageError("what", TEXT)) == f"what\n  next: {FRESH}"


def test_of_an_installed_package_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_IN_CHECKOUT", False)
    assert typed("next: python -m dlmatrix list") == "next: dlmatrix list"


def test_what_is_advised_on_the_command_line(checkout: Path, cli: Cli) -> None:
    assert "`.venv/bin/python -m dlmatrix list` shows them all" in cli("plan", "nonsense")[2]


@pytest.mark.parametrize(("skipped", "code"), [([], 0), (["base-3.7: Python 3.7 is not on this machine"], 77)])
def test_bases_of_which_one_could_not_be_made_are_no_success(
    checkout: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, skipped: list[str], code: int
) -> None:
    monkeypatch.setattr(bases, "make_bases", lambda *arguments: skipped)
    found, out, _ = cli("bases", "3.7", "3.11")
    assert (found, out) == (code, "".join(f"skipped: {line}\n" for line in skipped))
