"""What befalls the command itself while machines are at their checks: killed, interrupted, its disk full.

``python -m tests.fleet.controller FOLDER INVENTORY ORDER`` is the command that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dlmatrix.errors import DlmatrixError
from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.lab import Lab as Carrier
from dlmatrix.fleet.drive import carry_on, end
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from tests.fleet.hosts import Lab, run


def go_on(folder: Path, inventory: Path, order: Order) -> Fleet:
    """The command, which tells each machine that is at its checks."""

    def show(fleet: Fleet, changed: Mapping[str, Row]) -> None:
        for row in changed.values():
            print(row.name, row.state, row.attempts, flush=True)

    with record.held(folder):
        return carry_on(folder, record.read(folder), Carrier(folder, inventory, order), show)


def all_controllers(made: Lab, order: Order) -> list[str]:
    """Each of them; what went wrong."""
    wrong = []
    for name, act in (("killed", killed), ("interrupted", interrupted), ("disk-full", disk_full)):
        folder = made.folder / name
        folder.mkdir()
        with act(folder) as befall:
            names = [host.name for host in made.hosts]
            record.write(folder, record.beginning(name, "ansible", ["cpu-torch-2.13"], {}, names))
            told = befall(made, order)
            fleet = go_on(folder, made.folder / "lab.yml", order)
        rows = {row.name: (row.state, row.attempts) for row in fleet.machines}
        print(f"controller {name}: {told}; then {rows}", flush=True)
        if set(rows.values()) != {("passed", 1)}:
            wrong.append(f"controller {name}: not each machine passed in its only attempt: {rows}")
    return wrong


def stopped(made: Lab, long: Order, order: Order) -> list[str]:
    """The checks of a run are ended on its machines, and the same command starts them again."""
    folder = made.folder / "stopped"
    folder.mkdir()
    names = [host.name for host in made.hosts]
    record.write(folder, record.beginning("stopped", "ansible", ["cpu-torch-2.13"], {}, names))
    _signalled(folder, made, long, signal.SIGINT)
    inventory = made.folder / "lab.yml"
    none = Order(command=(), limit=0)  # ending needs none
    fleet = end(folder, record.read(folder), Carrier(folder, inventory, none))
    ended = {row.name: row.state for row in fleet.machines}
    left = [command for host in made.hosts for _, command in host.processes() if "conv2d" in command]
    rows = {row.name: (row.state, row.attempts) for row in go_on(folder, inventory, order).machines}
    print(f"stopped: {ended}; left: {left}; then {rows}", flush=True)
    right = set(ended.values()) == {"waiting"} and not left and set(rows.values()) == {("passed", 2)}
    return [] if right else ["--stop: not each machine's checks were ended, and started again by the same command"]


#: Lets it befall the command, and says how that ended.
Befall = Callable[[Lab, Order], str]


@contextlib.contextmanager
def killed(folder: Path) -> Iterator[Befall]:
    yield lambda made, order: _signalled(folder, made, order, signal.SIGKILL)


@contextlib.contextmanager
def interrupted(folder: Path) -> Iterator[Befall]:
    yield lambda made, order: _signalled(folder, made, order, signal.SIGINT)


@contextlib.contextmanager
def disk_full(folder: Path) -> Iterator[Befall]:
    """Where results arrive there is no room any more, once all machines are at their checks."""
    run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder)

    def befall(made: Lab, order: Order) -> str:
        filler = folder / "filler"

        def fill(process: subprocess.Popen[str]) -> None:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4096)

        said = _while_running(folder, made, order, fill)
        filler.unlink()
        return said

    try:
        yield befall
    finally:
        run("umount", "--lazy", folder)


def _signalled(folder: Path, made: Lab, order: Order, number: int) -> str:
    return _while_running(folder, made, order, lambda process: process.send_signal(number))


def _while_running(folder: Path, made: Lab, order: Order, befall: Callable[[subprocess.Popen[str]], None]) -> str:
    """Start the command; once every machine is at its checks, let it befall."""
    told = json.dumps({"command": list(order.command), "limit": order.limit})
    command = [sys.executable, "-m", "tests.fleet.controller", str(folder), str(made.folder / "lab.yml"), told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        begun: set[str] = set()
        for line in process.stdout:
            name, state, *_ = line.split()
            begun |= {name} if state == "running" else set()
            if len(begun) == len(made.hosts):
                befall(process)
                begun.add("")
        said = process.stderr.read().strip().splitlines()
    return f"{process.returncode} {said[-1] if said else ''}"


def main(folder: str, inventory: str, told: str) -> int:
    """The command that it befalls."""
    try:
        go_on(Path(folder), Path(inventory), Order(**json.loads(told)))
    except KeyboardInterrupt:
        return 130
    except (DlmatrixError, OSError) as error:
        print(error, file=sys.stderr)
        return 9
    return record.read(Path(folder)).exit_code()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main(*sys.argv[1:]))
