"""Where Ansible is, how it is told its settings, and which machines an inventory has."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.errors import EngineError, UsageError
from dlmatrix.system.checkout import bundled, find_root
from dlmatrix.system.files import MOST
from dlmatrix.system.process import Finished, run_lines

_INSTALL = (
    "in a checkout: .venv/bin/python -m pip install --require-hashes -r envs/locks/fleet.txt; else: "
    "pip install 'dlmatrix[fleet]'"
)
#: In a folder that a bundle has brought: its environment has no pip, and none of this.
_BROUGHT = (
    "a bundle brings none: where an index is, pip download --require-hashes -r envs/locks/fleet.txt -d DIR, by the "
    "same version of Python; here .venv/bin/uv pip install --python .venv/bin/python --no-index --find-links DIR "
    "--require-hashes -r envs/locks/fleet.txt"
)
#: Options that make ansible-playbook ask a person, whom nobody could answer here.
_ASKS = ("-k", "--ask-pass", "-K", "--ask-become-pass", "-J", "--ask-vault-pass", "--ask-vault-password", "--step")
#: What of the options for ansible-playbook the reading of the inventory needs too, each with a word after it.
_VAULT = ("--vault-id", "--vault-password-file", "--vault-pass-file", "-e", "--extra-vars")
#: What is said by options of our own.
_OURS = {"-i": "INVENTORY", "--inventory": "INVENTORY", "-l": "--limit", "--limit": "--limit"}
_SSH = (
    "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=5 -o ServerAliveCountMax=3 -o ConnectTimeout=5"
)


def program(name: str) -> str:
    """An Ansible program: the site's own, else that of this environment. Raises EngineError where there is none."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.is_file() else None)
    if not found:
        raise EngineError(f"{name} is not installed, and a lab is reached through it", _install())
    return found


def _install() -> str:
    return _BROUGHT if bundled(find_root()) else _INSTALL


def settings(machines: int) -> dict[str, str]:
    """Ansible's settings, as environment variables; what the user's environment says goes before them.

    A machine that is waited for holds a fork, so there is one for each; pipelining leaves a full disk alone.
    """
    usual = {
        "ANSIBLE_FORKS": str(machines),
        "ANSIBLE_TIMEOUT": "10",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_SSH_PIPELINING": "True",
        "ANSIBLE_SSH_RETRIES": "1",
        "ANSIBLE_SSH_ARGS": _SSH,
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }
    # Ansible's programs call each other by name: where those of this environment are not on the PATH, they stand last.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {name: os.environ.get(name, value) for name, value in usual.items()} | {"PATH": path}


def check_options(options: Sequence[str]) -> None:
    """Refuse what cannot be handed through. Raises UsageError."""
    for word in options:
        name = word.partition("=")[0]
        if name in _ASKS:
            raise UsageError(
                f"{name}: ansible-playbook would ask for it, and nobody is asked here",
                "keep it in a vault, and hand its key through: -- --vault-password-file FILE",
            )
        if name in _OURS:
            raise UsageError(f"{name} is not for ansible-playbook here", f"say it before the --: {_OURS[name]}")


def machines(inventory: Path, limit: str, options: Sequence[str]) -> tuple[str, ...]:
    """The machines of an inventory, or of a pattern of it, as ansible-inventory reads them, in its order.

    Raises UsageError where there are none, or Ansible does not understand it.
    """
    if not inventory.exists():
        raise UsageError(f"there is no inventory {inventory}", "name a file, or a folder of them")
    for file in [one for one in (inventory, *inventory.glob("*")) if one.is_file()]:
        if file.stat().st_size > MOST:  # Ansible would read it for minutes, and in gigabytes
            raise UsageError(f"{file}: it has more than {MOST / 1e6:.0f} MB", "name an inventory: a list of machines")
    command = [program("ansible-inventory"), "-i", str(inventory.absolute()), "--list"]
    command += ["--limit", limit] if limit else []
    command += list(_of_vault(options))
    done = run_lines(command, say=lambda line: None, environ={**os.environ, **settings(1)}, timeout_seconds=120)
    said = _telling(done)
    if done.exit_code != 0:
        raise UsageError(f"{inventory}: ansible-inventory: {said}", "correct it, or --limit")
    show = f"{program('ansible-inventory')} -i {inventory} --graph"
    # It ends with 0 all the same (2.17, 2.19), and of a folder it gives the machines of the files that it could read.
    if "Unable to parse" in " ".join(done.said.split()):
        raise UsageError(
            f"{inventory}: Ansible cannot read all of it: {said}", f"correct it; to see what is read: {show}"
        )
    try:
        found = json.loads(done.stdout)
        names = dict.fromkeys(str(name) for group in found.values() if group for name in group.get("hosts", ()))
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        what = f"{inventory}: what ansible-inventory gives is no inventory: {error}"
        raise UsageError(what, f"correct it; to see what is read: {show}") from None
    if unshown := next((name for name in names if not name.isprintable()), ""):
        what = f"{inventory}: a machine is named {unshown[:80]!r}, which cannot be shown"
        raise UsageError(what, "name it otherwise")
    if not names:
        what = f"has no machine that fits {limit}" if limit else "has no machine"
        raise UsageError(f"{inventory} {what}", f"see what is in it: {show}")
    return tuple(names)


def _of_vault(options: Sequence[str]) -> list[str]:
    found: list[str] = []
    for number, word in enumerate(options):
        if word in _VAULT:
            found += options[number : number + 2]
        elif word.partition("=")[0] in _VAULT:
            found.append(word)
    return found


def _telling(done: Finished) -> str:
    """What Ansible says of what went wrong, without what it always says."""
    lines = [line.strip() for line in done.said.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("ERROR", "[ERROR", "[WARNING]")) and "deprecat" not in line]
    return " ".join(telling or lines[-3:])[:600]


def check_installed() -> None:
    """Raise EngineError naming what is missing."""
    try:
        import ansible_runner  # noqa: F401, PLC0415 - an optional extra
    except ModuleNotFoundError:
        raise EngineError("ansible-runner is not installed, and a lab is reached through it", _install()) from None
    program("ansible-playbook")
