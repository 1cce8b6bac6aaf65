"""One machine of a fleet, as fleet.json has it: a row for each that was asked for, from the first moment on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dlmatrix.errors import typed
from dlmatrix.fleet.states import SAID, WAITING, Cause, State, causes, states
from dlmatrix.system.markdown import one_line

#: The longest name of a folder that every file system takes.
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one machine stands."""

    #: as the inventory, or Slurm, has it
    name: str
    #: a key of states.toml, and, where one is known, a cause of it
    state: str = WAITING
    cause: str = ""
    #: what was said of it, in its own words: hostile text on one line
    said: str = ""
    #: where it is, or was: reach, copy, start, wait, or what the checks say there
    step: str = ""
    #: of the machine's own result, where it has one
    code: int | None = None
    #: a keyed hash of its machine-id, as ``host.id`` of result.json
    machine: str = ""
    #: how many times the checks were started there
    attempts: int = 0
    #: the attempt whose end came home
    seen: int = 0
    #: how long they took there
    seconds: float | None = None
    #: what its result.json tells in short: figures.py
    figures: Mapping[str, Any] | None = None
    #: earlier states of this run, the oldest first: "lost", "unreachable: no answer"
    before: tuple[str, ...] = ()

    @property
    def meaning(self) -> State:
        """What its state means."""
        return states()[self.state]

    @property
    def why(self) -> Cause | None:
        """What its cause means, where it has one."""
        return causes().get(self.cause)

    @property
    def words(self) -> str:
        """Its state and cause: ``unreachable: the login was refused``."""
        return f"{self.state}: {self.why.words}" if self.why else self.state

    @property
    def reason(self) -> str:
        """Why it stands so, in one line; empty where the state says it all."""
        if self.state == "passed":
            return ""
        return ": ".join(filter(None, [self.why.words if self.why else self.meaning.words, self.said]))

    @property
    def exit_code(self) -> int:
        """What it adds to the exit code of the fleet."""
        if self.code is not None:
            return self.code
        return self.why.code if self.why else self.meaning.code

    @property
    def tried_again(self) -> bool:
        """Whether it is tried once more before an answer is given."""
        return self.why.second if self.why else self.meaning.second

    def next_step(self, run: str, *, alone: bool = True) -> str:
        """What to type or see; ``run`` is the folder of the run. Empty where nothing is to be done.

        Where it is not told of this machine ``alone``, MACHINE stands for each of several.
        """
        return filled((self.why or self.meaning).next, self.name if alone else "MACHINE", run)

    def at(self, state: str, cause: str = "", **changes: Any) -> Row:
        """The machine in another state. What was said of the old one is not said of the new one."""
        changes["said"] = one_line(str(changes.get("said", "")))[:SAID]
        return replace(self, **{"state": state, "cause": cause, "code": None, **changes})

    def started_over(self) -> Row:
        """The machine as it waits for another try; how it stood is kept."""
        before = self.before if self.meaning.moving else (*self.before, self.words)
        kept: dict[str, Any] = {"machine": self.machine, "attempts": self.attempts, "seen": self.seen}
        return Row(name=self.name, before=before, **kept)


def filled(text: str, machine: str, run: str) -> str:
    """A next step of states.toml, or its translation, for a machine of the run in a folder."""
    text = text.replace("hosts/{machine}", f"hosts/{folder_name(machine)}")
    return typed(text.replace("{machine}", machine).replace("{run}", run))


def folder_name(machine: str) -> str:
    """The folder of a machine in ``hosts/``: its name; what no file name takes is escaped as in a URL."""
    text = re.sub(r"[^\w.-]", _escaped, machine, flags=re.A)
    text = f"%2E{text[1:]}" if text.startswith(".") else text
    digest = hashlib.sha256(machine.encode("utf-8", "surrogatepass")).hexdigest()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}{digest[:12]}"


def _escaped(sign: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in sign[0].encode("utf-8", "surrogatepass"))
