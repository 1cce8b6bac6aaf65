"""Plays a guide's steps in a world, one after the other, up to the first that breaks or that cannot be judged."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dlmatrix.guides.agree import disagreement
from dlmatrix.guides.classify import NEEDS, NO_STEP, RUN, VALUED, words
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.model import Step
from dlmatrix.guides.translate import cpu_torch, translate
from dlmatrix.guides.world import CONDA_PIP, World
from dlmatrix.matrix.model import Site

#: Seconds that a step may take.
STEP_SECONDS = 1200.0
#: A small project that every index has, and that guides are not about.
_CONTROL = "six"
_OF_INDEX = re.compile(
    r"No matching distribution|Could not find a version|from versions: none|ConnectionError|NewConnectionError"
    r"|NameResolution|Connection refused|Temporary failure|Max retries|ReadTimeout|timed out|SSLError|CERTIFICATE"
    r"|ProxyError|HTTP error|Could not fetch|Network is unreachable",
    re.I,
)
_OF_DATA = re.compile(
    r"URL fetch failure|urlopen error|Max retries exceeded|ConnectionError|Connection refused|No route to host"
    r"|Name or service not known|Temporary failure in name resolution|HTTPError|RemoteDisconnected|Failed to download"
    r"|couldn't connect to|Network is unreachable"
)
_OF_GPU = re.compile(
    r"No CUDA GPUs are available|Found no NVIDIA driver|not compiled with CUDA enabled|no CUDA-capable|NVIDIA-SMI has"
    r"|CUDA driver version is insufficient|Attempting to deserialize object on a CUDA device|nvidia-smi: command not"
)
_OF_PERSON = re.compile(
    r"EOFError: EOF when reading|no display name|cannot connect to X|could not connect to display|getpass", re.I
)
_OF_FILE = re.compile(
    r"No such file or directory:? ?'?([^\s']+)|can't open file '?([^\s']+)|([\w./-]+): No such file or directory"
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
        return next((one for one in self.played if one.outcome == "unjudged" and one.step.kind in (*RUN, "get")), None)


class Player:
    """Plays steps; each player has one world."""

    def __init__(self, world: World, site: Site, tell: Callable[[Played], None], *, name: str, until: float) -> None:
        self._world, self._site, self._tell, self._name, self._until = world, site, tell, name, until
        self._answers: dict[str, bool] = {}
        self._pieces: dict[int, list[dict[str, str]]] = {}
        self._missing = ""
        self.python = ""

    def play(self, steps: Sequence[Step], python: str, pip: str) -> Replay:
        """Play steps from the beginning, with this Python; no pip named is the one that this Python brings."""
        self.python = python
        conda = any(step.kind in RUN and re.match(r"(?:conda|mamba)\s+(?:env )?create", step.text) for step in steps)
        self._pip = pip or (CONDA_PIP.get(python, "") if conda else "")
        if any(step.kind in RUN for step in steps):
            self._world.make_env("base", python, self._pip)
        played: list[Played] = []
        blind = ""
        for step in steps:
            if blind or any(one.outcome == "failed" for one in played) or self._stopped(played):
                if step.kind in RUN:
                    played.append(Played(step=step, outcome="skipped", reason="not reached"))
                continue
            one = self._one(step)
            if one.outcome == "failed" and step.kind == "install" and _OF_INDEX.search(one.said) and not self._index():
                blind = "no package index answers"
                one = replace(one, outcome="unjudged", reason=blind)
            elif one.outcome == "failed" and self._missing:
                one = replace(one, outcome="unjudged", reason=f"{self._missing}, and then: {one.reason}")
            if one.outcome == "unjudged" and step.kind in ("get", "install", "hole"):
                self._missing = f"line {step.line} was not carried out"
            self._tell(one)
            played.append(one)
        installed = self._world.installed() if self._world.envs else {}
        return Replay(
            played=tuple(played),
            asked=python,
            python=self.python,
            pip=installed.get("pip", self._pip),
            blind=blind,
            installed=installed,
        )

    def _stopped(self, played: Sequence[Played]) -> bool:
        return bool(played) and played[-1].outcome == "unjudged" and played[-1].step.kind == "program"

    def _index(self) -> bool:
        """Whether the site's index answers when it is asked for another project."""
        command = f"python -m pip download -q --no-deps --no-cache-dir -d ~/.control {_CONTROL} && rm -r ~/.control"
        return self._world.shell(command, 120, index=True).exit_code == 0

    def _one(self, step: Step) -> Played:
        if step.kind in NO_STEP or step.kind not in RUN:
            outcome = "unjudged" if step.kind in NEEDS else "skipped"
            return Played(step=step, outcome=outcome, reason=step.why)
        if time.monotonic() > self._until:
            return Played(step=step, outcome="unjudged", reason="the time given for it was over")
        if step.form in ("program", "repl", "cell"):
            return self._program(step)
        return self._command(step)

    def _command(self, step: Step) -> Played:
        done = translate(step.text, self._answers_at)
        if done.left:
            outcome = "unjudged" if done.left.startswith("unjudged") else "skipped"
            return Played(step=step, outcome=outcome, reason=done.left.removeprefix("unjudged: "))
        notes = list(done.notes)
        if done.env:
            version = done.python or self.python
            self._world.make_env(done.env, version, self._pip or CONDA_PIP.get(version, ""))
            self._world.activate(done.env)
            self.python = self._world.envs.get(done.env, version)
            if not done.text:
                return Played(step=step, outcome="passed", notes=tuple(notes))
        if step.kind == "install":
            if file := self._absent(done.text):
                return Played(step=step, outcome="unjudged", reason=f"it needs {file}, which the guide does not make")
            torch, why = cpu_torch(done.text, self.python, self._site.find_links)
            if why:
                return Played(step=step, outcome="unjudged", reason=why)
            if torch and torch not in self._world.constraints:
                self._world.constraints.append(torch)
                notes.append(f"{torch}: the build without CUDA, from this machine's folder of wheels")
        ended = self._world.shell(done.text, self._limit(), index=step.kind == "install")
        return replace(self._judged(step, ended, ended.stdout), notes=tuple(notes), ran=done.text)

    def _absent(self, command: str) -> str:
        """A file that an install command reads and that is not there."""
        listed = words(command)
        files = [b for a, b in itertools.pairwise(listed) if a in ("-r", "--requirement", "-c", "-e")]
        files += [w for w in listed if w.startswith((".", "/")) and "install" in listed and w not in files]
        files += [w for w in listed if w.endswith(".whl") and "://" not in w]
        for file in files:
            if file not in VALUED and "://" not in file and self._world.shell(f"test -e {_quoted(file)}", 30).exit_code:
                return file
        return ""

    def _answers_at(self, url: str) -> bool:
        """Whether an index, or a page of links, answers from inside the world."""
        if url not in self._answers:
            code = (
                "import sys, urllib.request as u, urllib.error as e\n"
                "try: u.urlopen(sys.argv[1], timeout=8)\n"
                "except e.HTTPError as error: sys.exit(error.code in (403, 407, 502, 503, 504))\n"
                "except Exception: sys.exit(1)\n"
            )
            ended = self._world.shell(f"python -c {_quoted(code)} {_quoted(url)}", 30)
            self._answers[url] = ended.exit_code == 0
        return self._answers[url]

    def _program(self, step: Step) -> Played:
        pieces = self._pieces.setdefault(step.session, [])
        echo = {"repl": "all", "cell": "last"}.get(step.form, "")
        padded = step.text if step.repairs else "\n" * (step.line - 1) + step.text
        pieces.append({"text": padded, "name": self._name, "echo": echo})
        if len(pieces) == 1 and not echo:
            ended = self._world.program(padded, self._limit())
            return self._judged(step, ended, ended.stdout)
        ended = self._world.session(pieces, self._limit())
        parts = re.split(r"\x1e\d+\n", ended.stdout)
        ended = replace(ended, stderr=re.split(r"\x1e\d+\n", ended.stderr)[-1])
        return self._judged(step, ended, parts[-1] if len(parts) == len(pieces) + 1 else "")

    def _limit(self) -> float:
        return max(5.0, min(STEP_SECONDS, self._until - time.monotonic()))

    def _judged(self, step: Step, ended: Ended, printed: str) -> Played:
        said = self._world.told((printed + "\n" + ended.stderr).strip())
        one = Played(step=step, outcome="passed", seconds=ended.seconds, said=said, ran=step.text)
        if ended.why:
            return replace(one, outcome="unjudged", reason=ended.why)
        if ended.exit_code == 0:
            differs = disagreement(step.expected, printed) if step.expected and step.kind != "install" else ""
            return (
                replace(one, outcome="failed", reason=f"{differs}, and it prints {_short(printed)!r}")
                if differs
                else one
            )
        if step.kind != "install":
            for pattern, what in ((_OF_DATA, "the network, for data"), (_OF_GPU, "a GPU"), (_OF_PERSON, "a person")):
                if found := pattern.search(said):
                    return replace(one, outcome="unjudged", reason=f"it needs {what}: {_line_of(said, found)}")
            if found := _OF_FILE.search(cause(said)):
                missing = next(group for group in found.groups() if group)
                if "cannot open shared object file" not in said:
                    return replace(one, outcome="unjudged", reason=f"it needs {missing}, which the guide does not make")
        if ended.exit_code == 127 and "command not found" in said:
            return replace(one, outcome="unjudged", reason=f"it needs {NEEDS['unknown']}: {cause(said)}")
        if ended.exit_code in (137, 139) and "Traceback" not in said:
            return replace(one, outcome="unjudged", reason="it was killed, by the system or by itself")
        return replace(one, outcome="failed", reason=cause(said), line=self._line(step, said))

    def _line(self, step: Step, said: str) -> int:
        """The line of the guide that a traceback leads to."""
        found = re.findall(rf'File "(?:guide|{re.escape(self._name)})", line (\d+)', said)
        return int(found[-1]) if found and not step.repairs and step.form != "shell" else 0


def cause(said: str) -> str:
    """The line that says most: the last exception, else pip's own error, else the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    errors = [line for line in lines if re.match(r"(?:error|ERROR)[: ]", line)]
    named = [line for line in lines if _NAMED.search(line)]
    return (named or raised[-1:] or errors or lines[-1:] or ["it said nothing"])[0][:400]


_RAISED = re.compile(r"(?!subprocess\.|\S*Warning)(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|NotFound)\b(?:: |$)")
#: What says more than the exception that it ends in.
_NAMED = re.compile(r"PyPI package is deprecated|InvalidRequirement: |No matching distribution found")


def _line_of(said: str, found: re.Match[str]) -> str:
    start = said.rfind("\n", 0, found.start()) + 1
    return said[start : said.find("\n", found.end()) if "\n" in said[found.end() :] else None].strip()[:300]


def _short(text: str) -> str:
    return " ".join(text.split())[-120:]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
