"""A lab: one playbook over all machines, carried out by ansible-runner in a thread, read event by event."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlmatrix.errors import EngineError
from dlmatrix.fleet.ansible.events import Reading
from dlmatrix.fleet.ansible.programs import check_installed, settings
from dlmatrix.fleet.order import Order
from dlmatrix.fleet.row import Row, folder_name
from dlmatrix.system.markdown import one_line

_HERE = Path(__file__).parent
_MACHINE = _HERE.parent / "machine"
#: The folder of the user on a machine.
BASE = "~/.cache/dlmatrix-fleet"
#: Seconds of one wait for the checks of a machine, so that nothing outlives a command that is killed for longer; and
#: those after which a step of a few of its own counts as silent.
_STEP, _PATIENCE = 25, 30
#: Machines that a part is copied to at a time.
_THROTTLE = 8
_KEYS = "ANSIBLE_HOST_KEY_CHECKING"
#: How ansible-playbook ends where it was carried out: well, with failures, with machines that were not reached.
_CARRIED_OUT = (0, 2, 4)


class Lab:
    """The machines of an inventory, as a carrier."""

    def __init__(self, run: Path, inventory: Path, order: Order, options: Sequence[str] = (), base: str = BASE) -> None:
        self._run, self._inventory, self._order, self._options = run, inventory.absolute(), order, tuple(options)
        self._base = base
        check_installed()
        #: how the folders of this run's playbooks begin, and so the words of their processes
        self._mark = Path(tempfile.gettempdir(), f"dlmatrix-fleet-{run.name}-")
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._reading = Reading(run, {})
        self._thread: threading.Thread | None = None
        self._ended: dict[str, Any] = {}
        self._left = threading.Event()
        #: whether the playbook came to its end: a wrong option has the code of a failed task
        self._told_all = False
        self._folder: Path | None = None

    def submit(self, rows: Sequence[Row], *, again: bool) -> None:
        """Begin with these machines: see the protocol."""
        orders = {row.name: self._own(row, again) for row in rows}
        parts = [{"what": part.what, "key": part.key, "file": str(part.file)} for part in self._order.parts]
        self._play("play.yml", rows, orders, fleet_parts=parts)

    def stop(self, rows: Sequence[Row]) -> Mapping[str, Row]:
        """End the checks of these machines there."""
        self._play("stop.yml", rows, {row.name: {"folder": folder_name(row.name)} for row in rows})
        while not self.over():
            self.look()
        return self._reading.rows

    def look(self) -> Mapping[str, Row]:
        """What has changed; waits for at most half a second."""
        changed: dict[str, Row] = {}
        ended = not (self._thread and self._thread.is_alive())  # before the queue: then that is whole
        try:
            event = self._events.get(timeout=0.0 if ended else 0.5)
            while True:
                self._told_all = self._told_all or event.get("event") == "playbook_on_stats"
                if row := self._reading.take(event):
                    changed[row.name] = row
                event = self._events.get_nowait()
        except queue.Empty:
            pass
        if ended and self._thread:
            self._thread.join()
            self._thread = None
            self._clear()
            self._refuse()
        return changed

    def over(self) -> bool:
        """Whether the playbook has ended and all of it was read."""
        return self._thread is None

    def leave(self) -> None:
        """End the playbook here; what it has started on the machines goes on."""
        self._left.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        end_left(self._mark)
        self._clear()

    def _own(self, row: Row, again: bool) -> dict[str, str]:
        seen = row.seen if again else 0  # an end that is known, and was not final, is followed by another attempt
        order = {"command": list(self._order.command), "limit": self._order.limit, "again": again, "seen": seen}
        return {"folder": folder_name(row.name), "order": _packed(order)}

    def _play(self, play: str, rows: Sequence[Row], machines: Mapping[str, Any], **more: Any) -> None:
        self._reading = Reading(self._run, {row.name: row for row in rows})
        end_left(self._mark)  # of a command that was killed
        # Not where results arrive: that disk may be full.
        self._folder = Path(tempfile.mkdtemp(prefix=self._mark.name, dir=self._mark.parent))
        (self._folder / "limit").write_text("".join(f"{row.name}\n" for row in rows), encoding="utf-8")
        variables = {
            "fleet_base": self._base,
            "fleet_run": self._run.name,
            "fleet_machines": dict(machines),
            "fleet_needed": _packed({part.key: part.size for part in self._order.parts}),
            "fleet_arrival": (_MACHINE / "arrival.py").read_text(encoding="utf-8"),
            "fleet_supervisor": (_MACHINE / "supervisor.py").read_text(encoding="utf-8"),
            "fleet_step": _STEP,
            "fleet_patience": _PATIENCE,
            "fleet_wait_patience": _STEP + 20,
            "fleet_looks": int(self._order.limit / _STEP) + 12,  # and what ending takes
            "fleet_throttle": _THROTTLE,
            **more,
        }
        (self._folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
        command = [
            *("-i", str(self._inventory), "--limit", f"@{self._folder / 'limit'}"),
            *("-e", f"@{self._folder / 'variables.json'}", *self._options, str(_HERE / play)),
        ]
        self._left.clear()
        self._ended, self._told_all = {}, False
        self._thread = threading.Thread(target=self._carry_out, args=(command, len(rows)), daemon=True)
        self._thread.start()

    def _carry_out(self, command: Sequence[str], machines: int) -> None:
        """In a thread of its own: ansible-runner, whose handler only hands on."""
        import ansible_runner  # noqa: PLC0415 - an optional extra

        folder = self._folder
        try:
            runner = ansible_runner.interface.init_runner(
                private_data_dir=str(folder),
                playbook=command[-1],
                cmdline=shlex.join(command[:-1]),
                envvars=settings(machines),
                settings={"suppress_ansible_output": True, "pexpect_timeout": 5},
                quiet=True,
                event_handler=self._handle,
                cancel_callback=self._left.is_set,
            )
            # Left alone it would take any host key, whatever the user's settings say.
            if _KEYS not in os.environ:
                runner.config.env.pop(_KEYS, None)
            runner.run()
            self._ended = {"code": runner.rc, "said": _tail(folder)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the engine's failure, and told as one
            self._ended = {"code": None, "said": f"{type(error).__name__}: {error}"}

    def _handle(self, event: Mapping[str, Any]) -> bool:
        self._events.put(event)
        return False  # nothing of it is kept in a file

    def _refuse(self) -> None:
        """Raise EngineError where Ansible itself failed: then nothing is known of machines that are moving."""
        if self._left.is_set() or (self._told_all and self._ended.get("code") in _CARRIED_OUT):
            return
        said = one_line(str(self._ended.get("said") or ""))[:600]
        raise EngineError(
            f"ansible-playbook itself failed (exit code {self._ended.get('code')}): {said}",
            f"try it by hand: ansible all -i {shlex.quote(str(self._inventory))} -m ping",
        )

    def _clear(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _packed(found: Mapping[str, Any]) -> str:
    """JSON in base64: what looks like JSON, older Ansible takes apart."""
    return base64.b64encode(json.dumps(found).encode()).decode()


def end_left(mark: Path) -> None:
    """End the processes whose words have a path that begins so, and remove those paths.

    Ansible's workers are in sessions of their own. They outlive it, and one that has much to tell waits for ever.
    """
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(f"@{mark}") in (place / "cmdline").read_bytes():
                os.kill(int(place.name), signal.SIGKILL)
    for folder in mark.parent.glob(f"{mark.name}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _tail(folder: Path | None) -> str:
    """What ansible-playbook printed last."""
    files = sorted(folder.glob("artifacts/*/stdout"), key=os.path.getmtime) if folder else []
    text = files[-1].read_text(encoding="utf-8", errors="replace")[-20_000:] if files else ""
    lines = [line for line in text.splitlines() if line.strip()]
    wrong = [number for number, line in enumerate(lines) if "ERROR" in line or ": error: " in line]
    return " ".join(lines[wrong[0] :] if wrong else lines[-5:])
