"""What the doctor found out: shared by what examines and what shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.gpu.diagnosis import Diagnosis, Launch

#: Exit codes: a GPU can be used; there is none; there is one and it cannot be used; it could not be looked at.
EXIT_USABLE, EXIT_NO_GPU, EXIT_UNUSABLE, EXIT_COULD_NOT_LOOK = 0, 20, 21, 22
_EXIT = {"usable": EXIT_USABLE, "no-gpu": EXIT_NO_GPU, "unusable": EXIT_UNUSABLE, "unknown": EXIT_COULD_NOT_LOOK}


@dataclass(frozen=True, kw_only=True)
class Started:
    """How the engine answered: its refusal, or what detection wrote to stdout."""

    error: str
    stdout: bytes
    #: the engine's own operating system ("Docker Desktop") and root folder, as `docker info` tells them
    system: str
    folder: str
    #: which GPUs the container was given, and in which way; "" where none
    gpus: str = ""


#: Starts an image with every GPU and runs detection in it: (image, arguments) -> the engine's answer, or None where
#: the image is not there. Raises EngineError where no engine answers.
StartContainer = Callable[[str, Sequence[str]], Started | None]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was seen, what it means, and what could not be reached."""

    env: str | None
    engine: str
    host: dict[str, Any] | None
    inside: dict[str, Any] | None
    launch: Launch | None
    diagnosis: Diagnosis
    #: why the inside of an env was not looked at, "" where it was
    unreached: str
    #: whether an env or an engine was named, so that not having reached it leaves the question open
    asked: bool

    @property
    def verdict(self) -> str:
        """The diagnosis's, or "unknown" where what was asked about was not reached and nothing below is broken."""
        if self.unreached and self.asked and self.diagnosis.verdict == "usable":
            return "unknown"
        return self.diagnosis.verdict

    @property
    def exit_code(self) -> int:
        """0, 20, 21 or 22."""
        return _EXIT[self.verdict]
