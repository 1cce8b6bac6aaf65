"""The sessions: one per variant and series, one per cell, and those that keep the project in order.

Nothing but nox and the standard library is imported here: a nox installed by pipx sees no more.
Every session runs in the checkout's own environment, .venv, which make sets up from the hashed
tool lock when it is missing or old.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import nox
from nox import registry

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["cpu-torch"]

ROOT = Path(__file__).parent
EXIT_SKIPPED = 77
#: Set by the Makefile: a skip is a failure.
STRICT = "DLMATRIX_STRICT"
CELL = re.compile(r"(?P<series>torch|tf2|tf1|tf1-compat)-(?P<short>\d[\d.]*)")
#: Seconds that an interrupted run has to end its container and to write its report; nox's own 0.3 lose both.
WRITES = 60.0
#: A run and its container end with nox, however nox ends.
STARTER = {"DLMATRIX_STARTER": str(os.getpid())}
if os.environ.get(STRICT):  # and nox with make: 1 is PR_SET_PDEATHSIG of prctl(2)
    import ctypes

    ctypes.CDLL(None).prctl(1, int(signal.SIGTERM), 0, 0, 0)
#: The env of each session that runs one.
ENVS: dict[str, str] = {}
#: How the envs of this call ended, once they were run together: entries of one result.json.
RESULTS: list[dict[str, Any]] = []


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and formatting."""
    tool(session, "ruff", "check", ".")
    tool(session, "ruff", "format", "--check", ".")
    tool(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the fast tests, which reach no Docker engine, and smoke/'s own on every Python here."""
    if session.posargs:
        tool(session, "pytest", "-m", "not image", *session.posargs)
        return
    # One more than there are processors: some of the longest wait for a package index.
    workers = str((os.cpu_count() or 1) + 1)
    tool(session, "pytest", "-m", "not image", "--numprocesses", workers, "--dist", "worksteal")
    tool(session, "tox", "run-parallel", "--parallel", "auto", "--parallel-no-spinner")


@nox.session(name="image-tests")
def image_tests(session: nox.Session) -> None:
    """Build and run images on the Docker engine that answers."""
    # tests/image/groups.py says which of them never run at once: three groups.
    workers = ("--numprocesses", "auto", "--maxprocesses", "3")
    tool(session, "pytest", "-m", "image", *workers, *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Stage faults on this machine's GPU, hold the doctor's answer against each, then check and measure it."""
    module(session, "tests.gpu", *session.posargs, skipped="there is no GPU here: see above")


@nox.session
def bases(session: nox.Session) -> None:
    """Make bases from Debian packages, for a machine that reaches no registry; one that is not made is a failure."""
    tool(session, "python", "-m", "dlmatrix", "bases", *session.posargs, **STARTER)


@nox.session
def doctor(session: nox.Session) -> None:
    """Say why the GPU is not used, by name, with the remedy."""
    tool(session, "python", "-m", "dlmatrix", "doctor", *session.posargs, **STARTER)


@nox.session
def reproduce(session: nox.Session) -> None:
    """Build an env twice from nothing and compare the digests; -- ENV --write records them."""
    dlmatrix(session, "reproduce", *(session.posargs or ["cpu-torch"]))


@nox.session
def bundle(session: nox.Session) -> None:
    """Put all that envs need in one file, for a machine without a network: -- ENV --out FILE."""
    dlmatrix(session, "bundle", *session.posargs)


@nox.session
def fleet(session: nox.Session) -> None:
    """Check every machine of a lab, or every node of a cluster: -- INVENTORY --env gpu-torch."""
    if "--slurm" not in session.posargs:
        ansible(session)
    dlmatrix(session, "fleet", *session.posargs)


def ansible(session: nox.Session) -> None:
    """Install the extra for a lab into the checkout's environment, where it lacks it."""
    session.run("make", "--silent", "setup", external=True, log=False)
    if (ROOT / "bundle" / "wheels").is_dir():
        return  # no pip is there, and no index: the command says what is lacking, and how it comes
    lock, done = ROOT / "envs" / "locks" / "fleet.txt", ROOT / ".venv" / ".fleet"
    newer = max(lock.stat().st_mtime, (ROOT / ".venv" / ".tools").stat().st_mtime)
    if not done.exists() or done.stat().st_mtime < newer:
        tool(session, "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock))
        done.touch()


@nox.session
def compare(session: nox.Session) -> None:
    """Compare two reports, or those of many machines: -- A B says SAME, FASTER, SLOWER or UNCLEAR."""
    dlmatrix(session, "compare", *session.posargs)


@nox.session
def replay(session: nox.Session) -> None:
    """Carry out an installation guide: -- GUIDE says whether it works, where it breaks, and what mends it."""
    module(session, "dlmatrix", "replay", *session.posargs, skipped="not judged: its reason is above", **STARTER)


@nox.session
def lock(session: nox.Session) -> None:
    """Regenerate locks and show what would change; -- ENV --write writes it."""
    dlmatrix(session, "lock", *session.posargs)


@nox.session
def pin(session: nox.Session) -> None:
    """Refresh the bases' digests from their registry; -- --write writes them."""
    dlmatrix(session, "pin", *session.posargs)


def tool(session: nox.Session, name: str, *arguments: str, **environ: str) -> None:
    """Run a program of the checkout's environment, after making sure of the environment."""
    session.run("make", "--silent", "setup", external=True, log=False)
    python = str(ROOT / ".venv" / "bin" / "python")
    words = arguments if name == "python" else ("-m", name, *arguments)  # see the Makefile
    session.run(python, *words, env=environ, external=True, interrupt_timeout=WRITES, terminate_timeout=WRITES)


def dlmatrix(session: nox.Session, *arguments: str) -> None:
    """Run the command line."""
    skipped = "nothing failed, but an env was skipped: its reason is above"
    module(session, "dlmatrix", *arguments, skipped=skipped, **STARTER)


def module(session: nox.Session, name: str, *arguments: str, skipped: str, **environ: str) -> None:
    """Run a module of the checkout. What it skipped as a whole is a skipped session, never a passed one."""
    try:
        tool(session, "python", "-m", name, *arguments, **environ)
    except nox.command.CommandFailed as failed:
        if failed.return_code == EXIT_SKIPPED:
            skip(session, skipped)
        raise


def skip(session: nox.Session, why: str) -> NoReturn:
    """End a session as skipped, which leaves nox's exit code 0; as failed for make, whose 0 is to mean that it ran."""
    if os.environ.get(STRICT):
        session.error(why)
    session.skip(why)


def run_session(name: str, env: str) -> Callable[[nox.Session], None]:
    """A session that builds, verifies and measures one env; the first of several runs all, into one report."""

    def run(session: nox.Session) -> None:
        asked = [] if RESULTS else asked_for(session)
        if len(asked) > 1:
            run_together(session, asked)
        if RESULTS:
            tell(session, env)
        else:
            dlmatrix(session, "run", env, *session.posargs)

    run.__doc__ = f"Build, verify and measure {name}."
    return run


def asked_for(session: nox.Session) -> list[str]:
    """The envs of all sessions of this call, which nox itself lists."""
    command = [sys.executable, "-m", "nox", *before_posargs(), "--json", "--list"]
    listed = subprocess.run(command, cwd=session.invoked_from, stdout=subprocess.PIPE, check=True).stdout
    return [ENVS[one["session"]] for one in json.loads(listed) if one["session"] in ENVS]


def before_posargs() -> list[str]:
    """nox's own arguments of this call."""
    arguments = sys.argv[1:]
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def run_together(session: nox.Session, envs: Sequence[str]) -> None:
    """Run envs with one command, and keep how each ended. What fails the run and no env fails this session."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument(
        "--report", nargs="?", const="", default=ROOT / "reports" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    )
    known, others = options.parse_known_args(list(session.posargs))
    if not known.report:
        session.error("--report names no folder: -- --report DIR")
    command = ["-m", "dlmatrix", "run", *envs, "--report", os.path.abspath(known.report), *others]
    failed = None
    try:
        tool(session, "python", *command, **STARTER)
    except nox.command.CommandFailed as error:
        failed = error
    result = Path(known.report) / "result.json"
    if result.is_file():
        found = json.loads(result.read_text(encoding="utf-8"))["envs"]
        RESULTS.extend({**one, "named": one["name"] in envs} for one in found)
    else:
        entry = {"status": "", "outcome": "error", "reason": "the run of all envs ended without a result, see above"}
        RESULTS.extend({"name": env, "named": True, **entry} for env in envs)
    if failed and {one["outcome"] for one in RESULTS} <= {"passed", "skipped"} and failed.return_code != EXIT_SKIPPED:
        raise failed


def tell(session: nox.Session, env: str) -> None:
    """Let the session end as its env did; a series stands for the version that the command took, as nobody named it."""
    own = [one for one in RESULTS if one["name"] == env or re.fullmatch(rf"{env}-\d[\d.]*", one["name"])]

    def order(one: dict[str, Any]) -> tuple[bool, bool, list[int]]:
        return not one["named"], one["status"] == "supported", numbers(one["name"].rpartition("-")[2])

    one = max(own, key=order)
    reason = "".join(sign if sign.isprintable() else " " for sign in one["reason"])  # it may come out of a container
    said = f"{one['name']}: {one['outcome']}: {reason}"
    if one["outcome"] == "skipped":
        skip(session, said)
    session.log(said)
    if one["outcome"] != "passed":
        raise nox.command.CommandFailed(said)


def numbers(version: str) -> list[int]:
    """A version, to sort by."""
    return [int(part) for part in re.findall(r"\d+", version)]


def add_cells() -> None:
    """Register ``cpu-torch`` (its newest version) and ``cpu-torch(2.13)`` for each file in envs/."""
    cells = [match for file in (ROOT / "envs").glob("*.toml") if (match := CELL.fullmatch(file.stem))]
    cells.sort(key=lambda cell: numbers(cell["short"]))
    for variant in ("cpu", "gpu"):
        for series in sorted({cell["series"] for cell in cells}):
            name = f"{variant}-{series}"
            ENVS[name] = name
            nox.session(name=name)(run_session(f"the newest {series} cell ({variant})", name))
            for cell in (cell for cell in cells if cell["series"] == series):
                one = f"{name}({cell['short']})"
                ENVS[one] = f"{name}-{cell['short']}"
                nox.session(name=one, tags=[variant, series])(run_session(one, ENVS[one]))


def add_asked() -> None:
    """Register what this call names otherwise: an env by its own name, and a wrong name, to answer it.

    They are in no list, and so beside no session that they double.
    """
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("-s", "-e", "--session", "--sessions", nargs="*", action="extend", default=[])
    known = set(registry.get())
    asked = options.parse_known_args(before_posargs())[0].session or os.environ.get("NOXSESSION", "").split(",")
    for name in dict.fromkeys(filter(None, asked)):
        env = re.sub(r"\((.*)\)$", r"-\1", name)
        if name in known:
            continue
        if env in ENVS.values() or re.search(r"cpu|gpu|torch|tf|tensorflow", env):  # the command knows what is nearest
            ENVS[name] = env
            nox.session(name=name)(run_session(name, env))
        else:
            nox.session(name=name)(wrong_session(name, difflib.get_close_matches(name, known, n=1)))


def wrong_session(name: str, near: Sequence[str]) -> Callable[[nox.Session], None]:
    """A session that says which was meant."""

    def run(session: nox.Session) -> None:
        hint = f"did you mean {near[0]}? " if near else ""
        session.error(f"there is no session {name}: {hint}`.venv/bin/nox -l` lists them all")

    return run


add_cells()
add_asked()
