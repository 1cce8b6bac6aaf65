"""How a step ended, and what that says: passed, failed, or unjudged where the guide is not what stopped it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dlmatrix.guides.agree import VARIES, disagreement, ends_in, raises
from dlmatrix.guides.classify import NEEDS, ONLY_GPU, RUN
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.model import Step
from dlmatrix.guides.names import leaves_out
from dlmatrix.guides.signs import (
    ASKS_GPU,
    OF_ARCHITECTURE,
    OF_ARCHIVE,
    OF_DATA,
    OF_FILE,
    OF_GPU,
    OF_MACHINE,
    OF_PERSON,
    OF_ROOT,
    cause,
    line_of,
)

#: Modules that Pythons had or brought once: a guide that needs one is of its time.
_ONCE = sys.stdlib_module_names | {"asynchat", "asyncore", "distutils", "imp", "pkg_resources", "setuptools", "smtpd"}
#: What pip ends with where it installs nothing; others of its errors are warnings.
_PIP_FAILED = re.compile(
    r"^ERROR: (?:No matching distribution found|Could not install packages|Cannot install |ResolutionImpossible)"
    r"|^error: subprocess-exited-with-error",
    re.M,
)


@dataclass(frozen=True, kw_only=True)
class Played:
    """A step and how it ended: passed, failed, skipped (none of this reader's), or unjudged, with the reason."""

    step: Step
    outcome: str
    reason: str = ""
    seconds: float = 0.0
    said: str = ""
    notes: tuple[str, ...] = ()
    #: the line of the guide that broke, where it is not the step's own
    line: int = 0
    #: what was really run, for a command
    ran: str = ""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """All steps as they were played; ``blind`` says why nothing can be known, where that is so."""

    played: tuple[Played, ...]
    #: the Python that it began with, and the one that the guide's own environment has
    asked: str
    python: str
    pip: str
    blind: str = ""
    #: what is installed at the end, by name
    installed: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_break(self) -> Played | None:
        """The step at which the guide breaks, if it does."""
        return next((one for one in self.played if one.outcome == "failed"), None)

    @property
    def unjudged(self) -> Played | None:
        """The first step that could not be judged and that the rest may need."""
        left = [one for one in self.played if one.outcome == "unjudged"]
        installed = any(one.outcome == "passed" and one.step.kind == "install" for one in self.played)
        return next(
            (
                one
                for one in left
                if one.step.kind in (*RUN, "get", "machine") or (one.step.why == ONLY_GPU and not installed)
            ),
            None,
        )


def judged(  # noqa: PLR0917 - all that a step's end is of
    step: Step, ended: Ended, printed: str, said: str, name: str, installs: bool
) -> Played:
    """A step with its outcome. ``said`` is all that it said, ``name`` the guide's, ``installs`` whether it does."""
    one = Played(step=step, outcome="passed", seconds=ended.seconds, said=said, ran=step.text)
    if ended.why:
        return replace(one, outcome="unjudged", reason=ended.why)
    if promised := raises(step.expected):
        if ends_in(promised, said) or (ended.exit_code == 0 and "Traceback (most recent call last)" not in said):
            return one
        ended = replace(ended, exit_code=ended.exit_code or 1)  # a session goes on behind it
    if ended.exit_code == 0 and step.form == "shell" and _hides(step.text, said, (printed, ended.stderr)):
        ended = replace(ended, exit_code=1)
    if ended.exit_code == 0:
        told = (
            step.expected if step.kind in ("check", "program") and not (step.varies or VARIES.search(step.text)) else ""
        )
        differs = disagreement(told, printed) if told else ""
        if differs and ASKS_GPU.search(step.text):
            return replace(one, outcome="unjudged", reason=f"it needs a GPU: {differs}")
        reason = f"{differs}, and it prints {_short(printed)!r}"
        return replace(one, outcome="failed", reason=reason) if differs else one
    if why := _not_its_fault(step, ended, said, installs):
        return replace(one, outcome="unjudged", reason=why, line=_line(step, said, name))
    return replace(one, outcome="failed", reason=cause(said), line=_line(step, said, name))


def _hides(command: str, said: str, streams: Iterable[str]) -> bool:
    """Whether a part of a command failed, and another part tells its end: ``python x.py; ls``, ``pip install | tail``.

    What stands before ``||`` may fail, and a reader that had enough (``pip list | head``) is no failure either.
    """
    bare = re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'", "", command)
    if "||" in bare or not re.search(r"[;|]", bare):
        return False
    return bool(_PIP_FAILED.search(said)) or any(map(_raised, streams))


def _raised(text: str) -> bool:
    """Whether Python ended by an exception: nothing stands behind it."""
    last = text.rstrip().rpartition("\n")[2]
    ends = re.match(r"(?!BrokenPipe|Keyboard)[\w.]*(?:Error|Exception)\b", last)
    return bool(ends and re.search(r"^  File \".*\", line \d+", text, re.M))


def _not_its_fault(step: Step, ended: Ended, said: str, installs: bool) -> str:
    """What a step that failed needs and has not here; empty where the guide itself is what failed."""
    if step.form != "shell" and leaves_out(step.text):
        return "it is a piece of a program: ... stands for what it leaves out"
    if found := OF_MACHINE.search(said):
        return f"it needs more than this machine lets it have: {line_of(said, found)}"
    if OF_ARCHITECTURE.search(said):
        return f"it needs {NEEDS['machine']}"
    if OF_ROOT.search(cause(said)):
        return f"it needs {NEEDS['system']}"
    if step.kind != "install":
        for pattern, what in ((OF_DATA, "the network, for data"), (OF_GPU, "a GPU"), (OF_PERSON, "a person")):
            if found := pattern.search(cause(said)) or pattern.search(said):
                return f"it needs {what}: {line_of(found.string, found)}"
        found = OF_ARCHIVE.search(said) or OF_FILE.search(cause(said))
        if found and "cannot open shared object file" not in said:
            return f"it needs {next(group for group in found.groups() if group)}, which the guide does not make"
    found = None if installs else re.search(r"ModuleNotFoundError: No module named '(\w+)", said)
    if found and found[1] not in _ONCE:  # such a page is a package's own, or goes on where another ended
        return f"it needs {found[1]}, which the guide does not install"
    if ended.exit_code == 127 and "command not found" in said:
        return f"it needs {NEEDS['unknown']}: {cause(said)}"
    killed = ended.exit_code in (137, 139, 153) and "Traceback" not in said
    return "it was killed, by the system or by itself" if killed else ""


def _line(step: Step, said: str, name: str) -> int:
    """The line of the guide that a traceback leads to."""
    found = re.findall(rf'File "(?:guide|{re.escape(name)})", line (\d+)', said)
    return int(found[-1]) if found and not step.repairs and step.form != "shell" else 0


def _short(text: str) -> str:
    return " ".join(text.split())[-120:]
