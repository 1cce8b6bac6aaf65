"""The sessions: one per variant and series, one per cell, and those that keep the project in order.

Nothing but nox and the standard library is imported here: a nox installed by pipx sees no more.
Every session runs in the checkout's own environment, .venv, which make sets up from the hashed
tool lock when it is missing or old.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["cpu-torch"]

ROOT = Path(__file__).parent
EXIT_SKIPPED = 77
CELL = re.compile(r"(?P<series>torch|tf2|tf1|tf1-compat)-(?P<short>\d[\d.]*)")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and formatting."""
    tool(session, "ruff", "check", ".")
    tool(session, "ruff", "format", "--check", ".")
    tool(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests, which reach no Docker engine, and smoke/'s own on every Python here."""
    tool(session, "pytest", "-m", "not image", *session.posargs)
    if not session.posargs:
        tool(session, "tox")


@nox.session(name="image-tests")
def image_tests(session: nox.Session) -> None:
    """Build and run images on the Docker engine that answers."""
    tool(session, "pytest", "-m", "image", *session.posargs)


@nox.session
def bases(session: nox.Session) -> None:
    """Make bases from Debian packages, for a machine that reaches no registry."""
    dlmatrix(session, "bases", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Say why the GPU is not used, by name, with the remedy."""
    tool(session, "python", "-m", "dlmatrix", "doctor", *session.posargs)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Build an env twice from nothing and compare the digests; -- ENV --write records them."""
    dlmatrix(session, "reproduce", *(session.posargs or ["cpu-torch"]))


@nox.session
def compare(session: nox.Session) -> None:
    """Compare two reports, or those of many machines: -- A B says SAME, FASTER, SLOWER or UNCLEAR."""
    dlmatrix(session, "compare", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Regenerate locks and show what would change; -- ENV --write writes it."""
    dlmatrix(session, "lock", *session.posargs)


@nox.session
def pin(session: nox.Session) -> None:
    """Refresh the bases' digests from their registry; -- --write writes them."""
    dlmatrix(session, "pin", *session.posargs)


def tool(session: nox.Session, name: str, *arguments: str) -> None:
    """Run a program of the checkout's environment, after making sure of the environment."""
    session.run("make", "--silent", "setup", external=True, log=False)
    session.run(str(ROOT / ".venv" / "bin" / name), *arguments, external=True)


def dlmatrix(session: nox.Session, *arguments: str) -> None:
    """Run the command line. What it skipped as a whole is a skipped session, never a passed one."""
    try:
        tool(session, "python", "-m", "dlmatrix", *arguments)
    except nox.command.CommandFailed as failed:
        if failed.return_code == EXIT_SKIPPED:
            session.skip("nothing failed, but an env was skipped: its reason is above")
        raise


def run_session(name: str, env: str) -> Callable[[nox.Session], None]:
    """A session that builds, verifies and measures one env."""

    def run(session: nox.Session) -> None:
        dlmatrix(session, "run", env, *session.posargs)

    run.__doc__ = f"Build, verify and measure {name}."
    return run


def add_cells() -> None:
    """Register ``cpu-torch`` (its newest version) and ``cpu-torch(2.13)`` for each file in envs/."""
    cells = [match for file in (ROOT / "envs").glob("*.toml") if (match := CELL.fullmatch(file.stem))]
    cells.sort(key=lambda cell: [int(part) for part in cell["short"].split(".")])
    for variant in ("cpu", "gpu"):
        for series in sorted({cell["series"] for cell in cells}):
            name = f"{variant}-{series}"
            nox.session(name=name)(run_session(f"the newest {series} cell ({variant})", name))
            for cell in (cell for cell in cells if cell["series"] == series):
                one = f"{name}({cell['short']})"
                nox.session(name=one, tags=[variant, series])(run_session(one, f"{name}-{cell['short']}"))


add_cells()
