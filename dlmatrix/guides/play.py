"""Plays a guide's steps in a world, one after the other, up to the first that breaks or that cannot be judged."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from shlex import quote

from dlmatrix.errors import NetworkError, UsageError
from dlmatrix.guides.agree import raises
from dlmatrix.guides.classify import NEEDS, NO_STEP, ONLY_GPU, RUN, VALUED, words
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.judge import Played, Replay, judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.shell import first_word
from dlmatrix.guides.signs import CONTROL, OF_CONNECTION, OF_INDEX, OF_NO_FILE, line_of, why_silent
from dlmatrix.guides.translate import cpu_torch, translate
from dlmatrix.guides.world import CONDA_PIP, NoPip, World
from dlmatrix.matrix.model import Site, normal_name

#: Why an installation is a step that the guide has not.
IMPLIED = "the guide does not install it: its programs import it"
_SILENT = "no package index answers"
#: What makes an installation one that only says what it would bring, and what shortens that.
_DRY_RUN = "--dry-run --ignore-installed --quiet --report ~/report.json"
_BROUGHT = (
    "import json, os\nwith open(os.path.expanduser('~/report.json'), encoding='utf-8') as report:\n"
    "    print(json.dumps({e['metadata']['name']: e['metadata']['version'] for e in json.load(report)['install']}))"
)
#: Behind the content of a file: no program has such a line.
_END = "the-end-of-what-the-guide-says"
#: Seconds that a step may take.
STEP_SECONDS = 1200.0


class Player:
    """Plays steps; each player has one world."""

    def __init__(self, world: World, site: Site, tell: Callable[[Played], None], *, name: str, until: float) -> None:
        self._world, self._site, self._tell, self._name, self._until = world, site, tell, name, until
        self._answers: dict[str, bool] = {}
        self._pieces: dict[int, list[dict[str, str]]] = {}
        self._missing = ""
        self._files: set[str] = set()
        self._installs = False
        self.python = ""

    def play(self, steps: Sequence[Step], python: str, pip: str) -> Replay:
        """Play steps from the beginning, with this Python; no pip named is the one that this Python brings."""
        self.python = python
        self._installs = any(step.kind == "install" and step.why != IMPLIED for step in steps)
        conda = any(step.kind in RUN and re.match(r"(?:conda|mamba)\s+(?:env )?create", step.text) for step in steps)
        self._pip = pip or (CONDA_PIP.get(python, "") if conda else "")
        try:
            if any(step.kind in RUN for step in steps):
                self._world.make_env("base", python, self._pip)
            return self._through(steps, [], python)
        except NetworkError:  # an old Python's pip is had from the index
            return Replay(played=(), asked=python, python=python, pip="", blind=_SILENT)
        except NoPip as error:
            if pip:
                raise UsageError(f"--pip: {error.message}", "name another, or leave it out") from None
            raise

    def quiet(self) -> None:
        """Tell no more of each step."""
        self._tell = lambda one: None

    def again(self, steps: Sequence[Step], before: Replay) -> Replay:
        """Go on in the same world from the first step that is another than before: installations are kept."""
        first = next(n for n, one in enumerate(before.played) if one.step != steps[n])
        if session := steps[first].session:
            first = next(n for n, step in enumerate(steps) if step.session == session)
        self._pieces.clear()
        return self._through(steps, list(before.played[:first]), before.asked)

    def pinned(self, pins: Sequence[str], steps: Sequence[Step], before: Replay) -> Replay:
        """Go on from the first break with other versions of some packages, which are put back afterwards."""
        broken = before.first_break
        first = before.played.index(broken) if broken else 0
        old = [
            f"{name}=={before.installed[name]}"
            for name in (pin.partition("==")[0] for pin in pins)
            if name in before.installed
        ]
        install = "python -m pip install -q --no-deps --no-input"
        self._world.shell(f"{install} {' '.join(map(quote, pins))}", self._limit(), index=True)
        self._pieces.clear()
        session = steps[first].session
        first = next((n for n, one in enumerate(steps) if session and one.session == session), first)
        replay = self._through(steps, list(before.played[:first]), before.asked)
        self._world.shell(f"{install} {' '.join(map(quote, old))}", self._limit(), index=True)
        return replay

    def resolve(self, step: Step) -> tuple[Played, dict[str, str]]:
        """What an installation would bring, by pip's own dry run, and how that ended: nothing is installed."""
        ended = self._world.shell(f"{step.text} {_DRY_RUN} && python -c {quote(_BROUGHT)}", self._limit(), index=True)
        one = self._held_to_the_index(self._judged(step, ended, ""))
        if "no such option: --" in one.said:
            return replace(one, outcome="unjudged", reason="this pip has no dry run: it came with 22.2"), {}
        found = json.loads(ended.stdout) if one.outcome == "passed" else {}
        return one, {normal_name(name): version for name, version in found.items()}

    def versions(self, name: str) -> list[str]:
        """All versions of a project for which the index has files that this Python takes, the oldest first."""
        command = f"python -m pip download --no-deps --no-cache-dir -d ~/.control {quote(name)}==0.0.0.dev0"
        said = self._world.shell(command, 120, index=True).stderr
        found = re.search(r"from versions: ([^)]*)\)", said)
        return [] if not found or found[1] == "none" else found[1].split(", ")

    def _through(self, steps: Sequence[Step], played: list[Played], asked: str) -> Replay:
        """All steps behind those that were played."""
        blind = ""
        while len(played) < len(steps):
            step = steps[len(played)]
            if blind or any(one.outcome == "failed" for one in played) or self._stopped(played):
                played.append(Played(step=step, outcome="skipped", reason="not reached"))
                continue
            for one in self._next(steps, len(played)):
                ended = self._held_to_the_index(one)
                blind = blind or (ended.reason if ended.reason.startswith(_SILENT) else "")
                if ended.outcome == "failed" and self._missing:
                    ended = replace(ended, outcome="unjudged", reason=f"{self._missing}, and then: {one.reason}")
                if ended.outcome == "unjudged" and (
                    step.kind in ("get", "install", "hole", "machine") or step.why == ONLY_GPU
                ):
                    self._missing = f"line {step.line} was not carried out"
                self._tell(ended)
                played.append(ended)
        installed = self._world.installed() if self._world.envs else {}
        return Replay(
            played=tuple(played),
            asked=asked,
            python=self.python,
            pip=installed.get("pip", self._pip),
            blind=blind,
            installed=installed,
        )

    def _stopped(self, played: Sequence[Played]) -> bool:
        return any(one.outcome == "unjudged" and one.step.kind == "program" for one in played)

    def _held_to_the_index(self, one: Played) -> Played:
        """A step as it ended, unjudged where the site's index, asked for another project, does not answer either."""
        if one.outcome != "failed" or one.step.kind != "install" or not OF_INDEX.search(one.said):
            return one
        command = f"python -m pip download -vv --no-deps --no-cache-dir -d ~/.control {CONTROL} && rm -r ~/.control"
        asked = self._world.shell(command, 120, index=True)
        if asked.exit_code == 0:
            return self._held_to_others(one)
        return replace(one, outcome="unjudged", reason=_SILENT + why_silent(asked.stdout + asked.stderr))

    def _held_to_others(self, one: Played) -> Played:
        """An installation that failed, unjudged where another place than the index is what did not answer."""
        if first_word(one.step.text) in ("conda", "mamba", "micromamba"):
            return replace(one, outcome="unjudged", reason=f"it needs conda's own channels: {one.reason}")
        found = None if OF_NO_FILE.search(one.said) else OF_CONNECTION.search(one.said)
        if found:
            return replace(one, outcome="unjudged", reason=f"it needs the network: {line_of(one.said, found)}")
        return one

    def _next(self, steps: Sequence[Step], number: int) -> list[Played]:
        """The next step, or the next steps that are pieces of one program and follow each other."""
        step = steps[number]
        if step.kind not in RUN or step.form not in ("program", "repl", "cell"):
            self._save(step, steps[:number])
            return [self._one(step)]
        group = list(
            itertools.takewhile(lambda one: one.kind == "program" and one.session == step.session, steps[number:])
        )
        return self._programs(group)

    def _save(self, step: Step, before: Sequence[Step]) -> None:
        """Make the files that a command runs and whose content the guide gave before."""
        named = re.findall(r"(?<![\w./-])[\w-]+\.py\b", step.text) if step.kind == "program" else []
        for name, text in [(one.file, one.text) for one in reversed(before) if one.file in named]:
            if name in self._files or self._world.shell(f"test -e {name}", 30).exit_code:
                self._files.add(name)  # a change of the program is one of the file
                self._world.shell(f"cat > {name} <<'{_END}'\n{text}\n{_END}", 30)

    def _one(self, step: Step) -> Played:
        if step.kind in NO_STEP or step.kind not in RUN:
            outcome = "unjudged" if step.kind in NEEDS else "skipped"
            return Played(step=step, outcome=outcome, reason=step.why)
        if time.monotonic() > self._until:
            return Played(step=step, outcome="unjudged", reason="the time given for it was over")
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
        listed = list(itertools.takewhile(lambda word: word not in ("&&", "||", ";", "|"), words(command)))
        files = [b for a, b in itertools.pairwise(listed) if a in ("-r", "--requirement", "-c", "-e")]
        files += [w for w in listed if w.startswith((".", "/")) and "install" in listed and w not in files]
        files += [w for w in listed if w.endswith(".whl") and "://" not in w]
        for file in files:
            place = f"~/{quote(file[2:])}" if file.startswith("~/") else quote(file)
            if file not in VALUED and "://" not in file and self._world.shell(f"test -e {place}", 30).exit_code:
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
            ended = self._world.shell(f"python -c {quote(code)} {quote(url)}", 30, index=True)
            self._answers[url] = ended.exit_code == 0
        return self._answers[url]

    def _programs(self, group: Sequence[Step]) -> list[Played]:
        """Pieces of one program, in one process: those of it that were run before are run again, and not told."""
        pieces = self._pieces.setdefault(group[0].session, [])
        before = len(pieces)
        for step in group:
            padded = step.text if step.repairs else "\n" * (step.line - 1) + step.text
            echo = {"repl": "all", "cell": "last"}.get(step.form, "")
            pieces.append({"text": padded, "name": self._name, "echo": echo, "raises": raises(step.expected)})
        if len(pieces) == 1 and not pieces[0]["echo"]:
            ended = self._world.program(pieces[0]["text"], self._limit())
            return [self._judged(group[0], ended, ended.stdout)]
        ended = self._world.session(pieces, self._limit())
        printed, said = (re.split(r"\x1e\d+\n", text)[1 + before :] for text in (ended.stdout, ended.stderr))
        found = []
        for number, step in enumerate(group):
            last = number == max(len(printed) - 1, 0)
            if number > 0 and number >= len(printed):
                found.append(Played(step=step, outcome="skipped", reason="not reached"))
                continue
            one = replace(
                ended,
                exit_code=ended.exit_code if last else 0,
                why=ended.why if last else "",
                stderr=said[number] if number < len(said) else ended.stderr,
                seconds=ended.seconds if last else 0.0,
            )
            found.append(self._judged(step, one, printed[number] if number < len(printed) else ""))
        return found

    def _limit(self) -> float:
        return max(5.0, min(STEP_SECONDS, self._until - time.monotonic()))

    def _judged(self, step: Step, ended: Ended, printed: str) -> Played:
        said = self._world.told((printed + "\n" + ended.stderr).strip())
        return judged(step, ended, printed, said, self._name, self._installs)
