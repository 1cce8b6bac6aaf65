"""``python -m tests.fleet.real ENV``: machines without a network get an env and check it; one loses power and goes on.

For the record, not for CI: it takes minutes and 2.5 GB of memory a machine. The wheels of the env are taken from the
site's find-links folders, or its index.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.lab import Lab as Carrier
from dlmatrix.fleet.drive import carry_on
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.site import Asked, make_order
from dlmatrix.report.fleet.write import lines, write_fleet
from dlmatrix.system.checkout import find_root
from tests.fleet.__main__ import CACHE, ansible_in, measured
from tests.fleet.hosts import Lab, lab

NUMBER = 3


def main(env: str) -> int:
    """Check, lose one, bring it back; 0 where all passed."""
    root = find_root()
    with lab(CACHE / f"real-{os.getpid()}", NUMBER, "2500m") as made, ansible_in(made):
        folder = made.folder / "run"
        folder.mkdir()
        inventory = made.inventory()
        asked = Asked(envs=(env,), inventory=str(inventory), offline=True, quick=True, engine="venv")
        order = make_order(root, asked, made.folder, print)
        for part in order.parts:
            print(f"{part.what}: {part.size / 1e6:,.1f} MB")
        names = [host.name for host in made.hosts]
        fleet = record.write(folder, record.beginning("run", "ansible", asked.envs, asked.as_json(), names))
        show = Losing(made)
        for what in ("one loses power", "it is on again, the same once more"):
            fleet = measured(what, lambda: go_on(folder, Carrier(folder, inventory, order), show), NUMBER)
            write_fleet(folder, fleet)
            print("\n".join(lines(fleet, folder)))
            if show.lost and fleet.unfinished():
                made.hosts[1].on()
        for row in fleet.machines:
            files = {file.name: file.stat().st_size for file in (folder / "hosts" / row.name).iterdir()}
            print(row.name, row.words, row.before, row.seconds, files)
        for host in made.hosts:
            used = sum(file.lstat().st_size for file in host.home.rglob("*"))
            print(f"{host.name}: {used / 1e6:,.0f} MB on its disk")
    return fleet.exit_code()


def go_on(folder: Path, carrier: Carrier, show: Losing) -> Fleet:
    return carry_on(folder, record.read(folder), carrier, show.show)


class Losing:
    """Tells what goes on; the second machine loses power once it is at its checks."""

    def __init__(self, made: Lab) -> None:
        self._made, self.lost, self._began = made, False, time.monotonic()

    def show(self, fleet: Fleet, changed: Mapping[str, Row]) -> None:
        for row in changed.values():
            print(f"{time.monotonic() - self._began:6.1f} s  {row.name}  {row.words}  {row.step[:100]}", flush=True)
        if not self.lost and any(row.name == "h02" and " check " in row.step for row in fleet.machines):
            self.lost = True
            self._made.hosts[1].off()
            print("h02 loses power", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
