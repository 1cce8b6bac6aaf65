"""The verb ``fleet``."""

from __future__ import annotations

import datetime
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlmatrix.cli.parser import MOST_SECONDS, Verbs
from dlmatrix.errors import UsageError, typed

if TYPE_CHECKING:
    from dlmatrix.fleet.order import Order
    from dlmatrix.fleet.protocol import Carrier
    from dlmatrix.fleet.record import Fleet
    from dlmatrix.fleet.site import Asked

_HELP = """\
Check every machine of a lab, through the Ansible that it has, or every node of a cluster, through its Slurm. The same
command goes on where an earlier one ended, until there is an answer for each machine; --new begins afresh. What stands
after -- is handed to ansible-playbook, or to sbatch."""
_CODES = """\
Exit codes: 0 every machine passed, 4 Ansible or Slurm itself failed and nothing changed, 13 a machine hung, 17 one is
slower than its siblings, 19 machines were not reached or got lost, 77 an env was skipped, 130 interrupted: the same
command goes on, 1 several of these, or a check failed."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks."""

    inventory: Path | None
    slurm: str
    shared: Path | None
    drain: bool
    env: Sequence[str]
    limit: str
    engine: str
    smoke_only: str
    offline: bool
    images: bool
    quick: bool
    #: seconds
    timeout: int
    new: bool
    resume: Path | None
    stop: Path | None
    plan: bool
    #: for ansible-playbook, or sbatch
    handed: Sequence[str]


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser(
        "fleet", help="check every machine of a lab or a cluster", description=_HELP, epilog=_CODES
    )
    parser.hands_on = True
    parser.add_argument("inventory", nargs="?", type=Path, metavar="INVENTORY", help="of Ansible: a file or a folder")
    parser.add_argument("--slurm", default="", metavar="NODES", help="nodes instead, as in 'gpu[01-30]'")
    parser.add_argument("--shared", type=Path, metavar="DIR", help="with --slurm: a folder that every node sees")
    parser.add_argument("--drain", action="store_true", help="with --slurm: drain nodes that failed or hung")
    parser.add_argument("--env", nargs="+", default=[], metavar="ENV", help="gpu-torch-2.13, or gpu-torch")
    parser.add_argument("--limit", default="", metavar="PATTERN", help="of the inventory's machines, as in Ansible")
    parser.add_argument(
        "--engine", choices=["auto", "docker", "apptainer", "venv"], default="auto", help="on each machine"
    )
    parser.add_argument("--smoke-only", default="", metavar="PYTHON", help="check this interpreter of each machine")
    parser.add_argument("--offline", action="store_true", help="send the envs' wheels too: no index is reached there")
    parser.add_argument(
        "--images", action="store_true", help="with --engine docker: send them, out of the bundle in use"
    )
    parser.add_argument("--quick", action="store_true", help="as of run")
    parser.add_argument("--timeout", type=int, default=3600, metavar="SECONDS", help="on each machine")
    parser.add_argument("--new", action="store_true", help="begin afresh, though an earlier run is not finished")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run (reports/fleet/RUN)")
    what.add_argument("--stop", type=Path, metavar="RUN", help="end this run's checks on its machines")
    what.add_argument("--plan", action="store_true", help="show machines and bytes; nothing is touched")
    parser.set_defaults(verb=lambda **options: run_fleet(Options(**options)))


def run_fleet(options: Options) -> int:
    """Check machines, or show, go on with or end a run; its exit code."""
    from dlmatrix.cli.output import say
    from dlmatrix.fleet import record
    from dlmatrix.fleet.drive import end
    from dlmatrix.fleet.order import Order
    from dlmatrix.fleet.site import make_images, make_order, of_json
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.working import remove_left, scratch

    root = find_root()
    remove_left(root)
    if options.plan:
        return _plan(root, options)
    named = options.resume or options.stop
    folder = _named(root, named) if named else _asked_for(root, options)
    with record.held(folder), scratch(root) as parts:
        fleet = record.read(folder)
        asked = of_json(fleet.asked)
        asked = replace(asked, options=tuple(options.handed)) if options.handed else asked
        if options.stop:
            # Nothing is sent for that: whatever is wrong with wheels or an index, checks can be ended.
            fleet = end(folder, fleet, _carrier(folder, asked, Order(command=(), limit=0)))
        elif fleet.unfinished():
            make_images(root, asked, say)
            fleet = _carry_on(folder, fleet, _carrier(folder, asked, make_order(root, asked, parts, say)))
        return _tell(folder, fleet)


def _plan(root: Path, options: Options) -> int:
    """Show what would be done; no machine is touched."""
    from dlmatrix.cli.output import say
    from dlmatrix.fleet.ansible.lab import BASE
    from dlmatrix.fleet.site import make_order
    from dlmatrix.system.working import scratch

    asked, names = _asked(options)
    with scratch(root) as folder:
        order = make_order(root, asked, folder, say)
        sizes = [part.size for part in order.parts]
    size = sum(sizes)
    say(f"{len(names)} machines: {', '.join(names)}")
    where, copies = ("the shared folder, if it lacks", 1) if asked.slurm else ("each machine that lacks", len(names))
    for part, each in zip(order.parts, sizes, strict=True):
        say(f"{part.what}: {each / 1e6:,.1f} MB to {where} it (key {part.key[:12]})")
    # What a link of one gigabit carries in a second at best.
    say(f"at most {copies * size / 1e6:,.0f} MB to move: {copies * size / 118e6:,.0f} s or more at 1 Gbit/s")
    base = asked.shared or BASE
    there = {"{python}": "python3", "{base}": base, "{folder}": f"{base}/runs/RUN/MACHINE"}
    words = [re.sub(r"\{\w+\}", lambda found: there[found[0]], word) for word in order.command if word]
    told = (word if word.startswith("~") else shlex.quote(word) for word in words)  # a shell leaves a quoted ~ as it is
    say(f"then, on each machine, ended after {order.limit:g} s at the latest: {' '.join(told)}")
    return 0


def _asked(options: Options) -> tuple[Asked, Sequence[str]]:
    """What the command line asks, and of which machines. Raises UsageError."""
    from dlmatrix.fleet.site import Asked

    names = _nodes(options) if options.slurm else _machines(options)
    if not options.env:
        raise UsageError("no env is named", "name what the machines are for: --env gpu-torch")
    if options.images and (options.engine != "docker" or options.smoke_only):
        raise UsageError("--images are for Docker engines", "--engine docker, or leave it out")
    if not 0 < options.timeout <= MOST_SECONDS:
        raise UsageError(f"--timeout must be a number of seconds from 1 to {MOST_SECONDS}", "leave it out for 3600")
    asked = Asked(
        inventory=str(options.inventory.absolute()) if options.inventory else "",
        slurm=options.slurm,
        shared=str(options.shared.absolute()) if options.shared else "",
        drain=options.drain,
        envs=tuple(options.env),
        limit=options.limit,
        options=tuple(options.handed),
        engine=options.engine,
        smoke_only=options.smoke_only,
        offline=options.offline,
        images=options.images,
        quick=options.quick,
        timeout=options.timeout,
    )
    return asked, names


def _machines(options: Options) -> Sequence[str]:
    """Those of the inventory."""
    from dlmatrix.fleet.ansible.programs import check_options, machines

    if options.inventory is None:
        raise UsageError("no inventory is named", "python -m dlmatrix fleet INVENTORY --env gpu-torch")
    if options.engine == "apptainer":
        raise UsageError("--engine apptainer is for nodes that share a folder of images", "--slurm NODES --shared DIR")
    if options.shared or options.drain:
        raise UsageError("--shared and --drain are for a cluster", "name its nodes too: --slurm 'gpu[01-30]'")
    check_options(options.handed)
    return machines(options.inventory, options.limit, options.handed)


def _nodes(options: Options) -> Sequence[str]:
    """Those that Slurm takes the expression for."""
    from dlmatrix.fleet.slurm.programs import hostnames

    if options.inventory or options.limit:
        raise UsageError("an inventory and --limit are Ansible's, --slurm names nodes", "leave one of both out")
    if options.shared is None or not options.shared.is_dir():
        where = f"there is no folder {options.shared}" if options.shared else "no folder is named that every node sees"
        raise UsageError(where, "name one: --shared DIR")
    return hostnames(options.slurm)


def _asked_for(root: Path, options: Options) -> Path:
    """The folder of the run that the command line asks for: an unfinished one of the same question, else a new one."""
    from dlmatrix.cli.output import say
    from dlmatrix.fleet import record
    from dlmatrix.matrix.load import load_sound, select
    from dlmatrix.report.folder import report_folder

    asked, names = _asked(options)
    select(load_sound(root), asked.envs)  # what is none is refused before anything is made
    started = datetime.datetime.now(datetime.timezone.utc)
    above = record.runs_folder(root)
    earlier = None if options.new else record.unfinished(above, asked.as_json())
    if earlier:
        say(f"goes on with {earlier} (--new begins afresh)")
        return earlier
    folder = report_folder(root, above / f"{started:%Y%m%d-%H%M%S}-{os.getpid()}", started)
    folder.mkdir(parents=True)
    record.write(
        folder, record.beginning(folder.name, "slurm" if asked.slurm else "ansible", asked.envs, asked.as_json(), names)
    )
    return folder


def _named(root: Path, run: Path) -> Path:
    """The folder of a run that is named by its folder, or by its name alone. Raises UsageError where there is none."""
    from dlmatrix.fleet import record

    folder = run if run.is_dir() else record.runs_folder(root) / run
    record.read(folder)
    return folder


def _carrier(folder: Path, asked: Asked, order: Order) -> Carrier:
    from dlmatrix.fleet.ansible.lab import Lab
    from dlmatrix.fleet.slurm.cluster import Cluster

    if asked.slurm:
        gpus = any(env.startswith("gpu-") for env in asked.envs)
        return Cluster(folder, Path(asked.shared), order, gpus=gpus, options=asked.options, drain=asked.drain)
    return Lab(folder, Path(asked.inventory), order, asked.options)


def _carry_on(folder: Path, fleet: Fleet, carrier: Carrier) -> Fleet:
    """Until there is an answer for each machine; what there is of one when it is interrupted is in the report."""
    from dlmatrix.cli.output import make_console
    from dlmatrix.fleet import record
    from dlmatrix.fleet.drive import carry_on
    from dlmatrix.fleet.live import Watching
    from dlmatrix.fleet.standing import findings
    from dlmatrix.report.fleet.write import write_fleet

    console = make_console()
    console.print(f"run: {folder}", soft_wrap=True)
    try:
        with Watching(console) as watching:
            fleet = carry_on(folder, fleet, carrier, watching.show)
    except KeyboardInterrupt:
        write_fleet(folder, record.read(folder))
        what = f"the machines go on; to bring them home: python -m dlmatrix fleet --resume {folder}"
        raise KeyboardInterrupt(typed(what)) from None
    return record.write(folder, replace(fleet, findings=findings(folder, fleet)))


def _tell(folder: Path, fleet: Fleet) -> int:
    """Write the report and show it; the exit code of the fleet."""
    from dlmatrix.cli.output import make_console, tell
    from dlmatrix.report.fleet.write import lines, table, write_fleet

    console = make_console()
    try:
        write_fleet(folder, fleet)
    finally:
        console.print(table(fleet, console.width))
        for line in lines(fleet, folder):
            tell(console, line)
    return fleet.exit_code()
