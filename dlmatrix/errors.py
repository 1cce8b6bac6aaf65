"""Everything that can go wrong, one class and one exit code each.

A message says what is wrong and where; ``next_step`` is what to type or change now.
"""

from __future__ import annotations

import errno
import re
import unicodedata
from pathlib import Path

_IN_CHECKOUT = Path(__file__).resolve().parents[1].joinpath("noxfile.py").is_file()


def typed(text: str) -> str:
    """A text, its commands as they can be typed here: of a checkout's environment, or of the installed package."""
    if _IN_CHECKOUT:
        return re.sub(r"(?<![\w/.-])(nox -|python -m dlmatrix)", r".venv/bin/\1", text)
    return text.replace("python -m dlmatrix", "dlmatrix")


def shown(text: str) -> str:
    """A text for a terminal: what one would obey instead of showing it stands there as its escape (``\\x1b``)."""
    if text.isprintable():
        return text
    return "".join(c if _shows(c) else c.encode("unicode_escape").decode() for c in text)


def _shows(sign: str) -> bool:
    """Whether a terminal shows a sign; Python counts the blanks of web pages and of Chinese as not printable."""
    return sign.isprintable() or sign in "\n\t" or unicodedata.category(sign) == "Zs"


class DlmatrixError(Exception):
    """A failure the user can act on; the command line prints it without a traceback."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = typed(message)
        self.next_step = typed(next_step)

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class UsageError(DlmatrixError):
    """The command line names something that does not exist or makes no sense."""

    exit_code = 2


class ConfigError(DlmatrixError):
    """A file under envs/ holds something that is not understood."""

    exit_code = 3


class EngineError(DlmatrixError):
    """The engine is not there, or went away."""

    exit_code = 4


class NoEngineError(EngineError):
    """Nothing answers on the socket of this machine; nobody need have asked for an engine there."""


class GpuRefusedError(EngineError):
    """The engine did not start a container with a GPU; the message is its own text, whole."""


class BuildError(DlmatrixError):
    """The image or the virtual environment could not be built."""

    exit_code = 5


class IntegrityError(DlmatrixError):
    """A file is not the one the lock names."""

    exit_code = 6


class NetworkError(DlmatrixError):
    """A package index, or a registry, could not be reached."""

    exit_code = 7


class BaseMissingError(DlmatrixError):
    """The base image is neither present nor can it be pulled."""

    exit_code = 8


class DiskFullError(DlmatrixError):
    """No space left, or no writing allowed, where the engine, the run or the report writes."""

    exit_code = 9


class BusyError(DlmatrixError):
    """Another run of the same env is under way."""

    exit_code = 10


class ContractError(DlmatrixError):
    """The document that came out of an environment does not fit the schema."""

    exit_code = 11


class IncompatibleError(DlmatrixError):
    """This machine's driver or GPU cannot run the env (see envs/compatibility.toml)."""

    exit_code = 12


class HangError(DlmatrixError):
    """The framework did not finish in time and was stopped."""

    exit_code = 13


class KilledError(DlmatrixError):
    """The framework was killed, for memory or by a signal."""

    exit_code = 14


class ReportError(DlmatrixError):
    """A result.json is not one that this version understands."""

    exit_code = 15


class UnlikeError(DlmatrixError):
    """The runs to be compared differ in what must be the same."""

    exit_code = 16


class SlowerError(DlmatrixError):
    """A comparison found something slower."""

    exit_code = 17


class MissingError(DlmatrixError):
    """A comparison found that a figure is not there any more."""

    exit_code = 18


class NotReachedError(DlmatrixError):
    """Machines of a fleet were not reached, or got lost."""

    exit_code = 19


class BundleError(DlmatrixError):
    """A bundle is damaged, not whole, or holds what none may hold; nothing of it was used."""

    exit_code = 20

    def __init__(self, message: str, next_step: str = "copy it, or have it made, once more") -> None:
        super().__init__(message, next_step)


class SkippedEnv(DlmatrixError):  # noqa: N818 - a skip is no error, but it ends an env's run like one
    """An env cannot be run on this machine, through no fault of its own; the message is the reason."""

    exit_code = 77


def of_system(error: OSError) -> DlmatrixError:
    """What the operating system refused, as an error with a next step."""
    if error.errno == errno.ENOENT and not error.filename:  # whoever asks where it is names nothing
        return DlmatrixError("the current folder was removed", "cd to one that is there, then run it again")
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(what, "free some space (`df -h`), then run it again")
    if error.errno == errno.EROFS:
        return DiskFullError(what, "have it mounted to be written (`findmnt -T` says where it is), then run it again")
    return DlmatrixError(what, "see what is there, and who may use it")


#: Nothing failed, and at least one env was skipped as a whole (the code automake and meson use).
EXIT_SKIPPED = SkippedEnv.exit_code
#: Stopped by Ctrl-C (128 + SIGINT).
EXIT_INTERRUPTED = 130
