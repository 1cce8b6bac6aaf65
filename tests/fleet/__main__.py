"""``python -m tests.fleet``: breaks machines of a lab in every way, and holds what the fleet says of each.

--short: five machines, four of them broken, about a minute: what CI does. --machines N: more healthy ones beside them.
Needs root, mmdebstrap, iproute2, ssh and ansible-runner (envs/locks/fleet.txt).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dlmatrix.errors import EngineError
from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.lab import Lab as Carrier
from dlmatrix.fleet.ansible.programs import machines, program
from dlmatrix.fleet.drive import carry_on
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.site import Asked
from dlmatrix.report.fleet.write import write_fleet
from tests.fleet.controller import all_controllers, stopped
from tests.fleet.faults import FAULTS, Fault
from tests.fleet.hosts import Lab, lab, missing
from tests.unit.documents import check, document, env, result

CACHE = Path(os.environ.get("DLMATRIX_LAB_DIR", Path.home() / ".cache" / "dlmatrix-lab"))
ALIAS = "alias"


@contextlib.contextmanager
def ansible_in(made: Lab) -> Iterator[None]:
    """Let Ansible run where the machines are reached from."""
    programs = made.folder / "bin"
    programs.mkdir()
    for name in ("ansible-playbook", "ansible-inventory"):
        (programs / name).write_text(f'#!/bin/sh\nexec ip netns exec {made.controller} {program(name)} "$@"\n')
        (programs / name).chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{programs}:{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def order(seconds: float, limit: float) -> Order:
    passed = result(env("cpu-torch-2.13", document=document(check("training"))))
    source = Path(__file__).with_name("job.py").read_text()
    return Order(command=["{python}", "-c", source, str(seconds), json.dumps(passed)], limit=limit)


class Breaking:
    """Breaks machines once every one that can has started, and tells what is said of them."""

    def __init__(self, made: Lab, faults: Mapping[str, Fault]) -> None:
        self._made, self._faults, self._done = made, faults, False
        self.started = time.monotonic()

    def show(self, fleet: Fleet, changed: Mapping[str, Row]) -> None:
        for row in changed.values():
            if not row.meaning.moving:
                print(
                    f"{time.monotonic() - self.started:6.1f} s  {row.name}  {row.words}  {row.said[:110]}", flush=True
                )
        if not self._done and all(row.attempts or not row.meaning.moving for row in fleet.machines):
            self._done = True
            for host in self._made.hosts:
                self._faults[host.name].during(host)
        for entry in [entry for entry in self._made.later if entry[0] <= time.monotonic()]:
            self._made.later.remove(entry)
            entry[1]()


def measured(what: str, act: Callable[[], Fleet], number: int) -> Fleet:
    """Do something; tell what it took of the processors, here and in Ansible, and of memory."""

    def used() -> float:
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)

    began, before = time.monotonic(), used()
    found = act()
    seconds, cpu = time.monotonic() - began, used() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"== {what}: {seconds:.1f} s, processor {cpu:.1f} s ({cpu / number:.2f} s a machine), memory {memory:.0f} MB")
    return found


def held(fleet: Fleet, wanted: Mapping[str, tuple[str, Sequence[tuple[str, str]]]]) -> list[str]:
    """What is not as it must be."""
    rows = {row.name: row for row in fleet.machines}
    wrong = [f"{name} is missing" for name in wanted if name not in rows]
    for name, (title, answers) in wanted.items():
        if name in rows and (rows[name].state, rows[name].cause) not in answers:
            wrong.append(f"{name} ({title}): {rows[name].words} ({rows[name].said}), and not one of {answers}")
    return wrong


def play(made: Lab, faults: Mapping[str, Fault], seconds: float, limit: float) -> list[str]:
    """Break, check, mend, check again; what went wrong."""
    folder = made.folder / "run"
    folder.mkdir()
    for host in made.hosts:
        faults[host.name].before(host)
    inventory = made.inventory((ALIAS, made.hosts[0].name))
    names = machines(inventory, "", ())
    asked = Asked(envs=("cpu-torch-2.13",), inventory=str(inventory))
    fleet = record.write(folder, record.beginning("run", "ansible", asked.envs, asked.as_json(), names))
    wanted = {name: (fault.title, fault.answers) for name, fault in faults.items()}

    def one() -> Fleet:
        breaking = Breaking(made, faults)
        carrier = Carrier(folder, inventory, order(seconds, limit))
        return carry_on(folder, record.read(folder), carrier, breaking.show)

    fleet = measured("broken", one, len(names))
    twins = [row for row in fleet.machines if row.name in (ALIAS, made.hosts[0].name) and row.state == "twin"]
    wrong = [] if len(twins) == 1 else [f"{len(twins)} of two names of one machine are twins"]
    if twins and twins[0].name != ALIAS:
        wanted[ALIAS] = wanted.pop(made.hosts[0].name)
    wrong += held(fleet, wanted)
    for host in made.hosts:
        faults[host.name].mend(host)
        faults[host.name] = replace_during(faults[host.name])
    inventory = made.inventory((ALIAS, made.hosts[0].name))
    fleet = measured("mended, the same again", one, len(names))
    after = {name: (title, faults.get(name, faults[made.hosts[0].name]).then) for name, (title, _) in wanted.items()}
    wrong += held(fleet, after)
    for row in fleet.machines:
        fault = faults.get(row.name)
        if fault and fault.kept and not row.before:
            wrong.append(f"{row.name} ({fault.title}): how it stood before is not kept")
    write_fleet(folder, fleet)
    return wrong + without_a_connection(made, folder, fleet)


def replace_during(fault: Fault) -> Fault:
    """The same fault, not staged again."""
    return replace(fault, during=lambda host: None)


def without_a_connection(made: Lab, folder: Path, fleet: Fleet) -> list[str]:
    """Once every answer is final, the command shows it at once, and needs no Ansible for it."""
    if fleet.unfinished():
        return [f"not final: {', '.join(row.name for row in fleet.unfinished())}"]
    began = time.monotonic()
    command = [sys.executable, "-m", "dlmatrix", "fleet", "--resume", str(folder)]
    done = subprocess.run(command, env={**os.environ, "PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    print(f"== everything final, the same again: {time.monotonic() - began:.1f} s")
    print(done.stdout[-3000:])
    return [] if done.returncode == fleet.exit_code() else [f"--resume: {done.returncode}: {done.stderr}"]


def refused(made: Lab) -> list[str]:
    """A failing Ansible changes no state."""
    folder = made.folder / "refused"
    folder.mkdir()
    begun = record.beginning("refused", "ansible", ["cpu-torch"], {}, ["known", *(host.name for host in made.hosts)])
    stood = record.write(folder, begun.with_rows({"known": Row(name="known", state="passed")}))
    carrier = Carrier(folder, made.folder / "lab.yml", order(1, 10), ["--no-such-option"])
    try:
        carry_on(folder, stood, carrier, lambda fleet, changed: None)
    except EngineError as error:
        print(f"refused as it must be: {error.message[:200]}")
        return [] if record.read(folder).machines == stood.machines else ["a failing Ansible changed a state"]
    return ["a failing Ansible was taken for one that ran"]


def befallen(made: Lab) -> list[str]:
    """What befalls the command itself, over machines that are well."""
    made.hosts = made.hosts[:1] if len(made.hosts) < 3 else [made.hosts[0], *made.hosts[-2:]]
    for host in made.hosts:
        (host.home / "behaves").unlink(missing_ok=True)
    made.inventory()
    return all_controllers(made, order(8.0, 60.0)) + stopped(made, order(300.0, 400.0), order(2.0, 60.0))


def main() -> int:
    """Make the lab, break it, and say what is wrong with what was said."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    parser.add_argument("--short", action="store_true", help="five machines, about a minute")
    parser.add_argument("--machines", type=int, default=0, metavar="N", help="so many in all, the others healthy")
    parser.add_argument(
        "--controller", action="store_true", help="only what befalls the command itself: three machines"
    )
    parser.add_argument("--only", default="", metavar="WORD", help="those whose title has it, beside the healthy one")
    options = parser.parse_args()
    if options.controller:
        options.only, options.machines = FAULTS[0].title, 3
    if lacking := missing():
        print(f"skipped: a lab needs {', '.join(lacking)}: apt-get install {' '.join(lacking)}")
        return 77
    faults = [fault for fault in FAULTS if (fault.short or not options.short) and options.only in fault.title]
    faults = faults if FAULTS[0] in faults else [FAULTS[0], *faults]
    faults += [FAULTS[0]] * (options.machines - len(faults))
    seconds, limit = (3.0, 30.0) if options.short else (20.0, 40.0)
    CACHE.mkdir(parents=True, exist_ok=True)
    started = datetime.datetime.now(datetime.timezone.utc)
    with lab(CACHE / f"lab-{os.getpid()}", len(faults)) as made, ansible_in(made):
        named: dict[str, Fault] = {host.name: fault for host, fault in zip(made.hosts, faults, strict=True)}
        for host in made.hosts:
            print(f"{host.name}: {named[host.name].title}")
        wrong = [] if options.controller else play(made, named, seconds, limit) + refused(made)
        if options.controller or not options.short:
            wrong += befallen(made)
    took = datetime.datetime.now(datetime.timezone.utc) - started
    print("\n".join(wrong) if wrong else f"all {len(faults)} machines are as they must be", f"({took.seconds} s)")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
