"""Finds, by trying, the smallest change with which a guide works: a try replays all steps in an empty world."""

from __future__ import annotations

import contextlib
import heapq
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from packaging.version import Version

from dlmatrix.errors import DlmatrixError
from dlmatrix.guides.classify import requirements
from dlmatrix.guides.dates import caps, differing, fewest, named_first, resolved
from dlmatrix.guides.edits import Cause, Edit, applied, candidates, edit_of, renamed, required
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.play import Player
from dlmatrix.guides.replay import Setting, player, verdict

#: Replays that a search may make.
MOST_TRIES = 12
#: Pythons that a guide may be of, the newest first.
PYTHONS = ("3.13", "3.12", "3.11", "3.10", "3.9", "3.8", "3.7", "3.6")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A set of changes, and what a replay with it said."""

    edits: tuple[Edit, ...]
    words: str
    works: bool
    #: whether it did not come as far as the break, for a full disk or the like: nothing is known of the change then
    lost: bool = False


@dataclass(kw_only=True)
class Search:
    """What was tried, and the smallest change that works, if one was found."""

    tried: list[Tried] = field(default_factory=list)
    found: tuple[Edit, ...] | None = None
    replay: Replay | None = None


@dataclass(kw_only=True)
class Searching:
    """A search under way: what is searched, the replay that broke, and the player in whose world it did."""

    setting: Setting
    guide: Guide
    steps: Sequence[Step]
    first: Replay
    pip: str
    live: Player
    result: Search = field(default_factory=Search)
    seen: set[str] = field(default_factory=set)
    #: changes that were put in line
    queued: int = 0
    #: those with which it broke last, and how
    furthest: tuple[tuple[Edit, ...], Replay] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the guide as it is."""
        self.furthest = ((), self.first)

    def over(self) -> bool:
        """Whether tries or time are used up."""
        return len(self.result.tried) >= MOST_TRIES or time.monotonic() > self.setting.until

    def attempt(self, edits: tuple[Edit, ...]) -> Replay | None:
        """Replay with changes, and note how it went. None where that was done already, or nothing could be seen.

        Changes of programs alone are tried first in the world that is there; what works in it is replayed from an
        empty one.
        """
        key = repr([(one.python, sorted(one.texts.items())) for one in edits])
        if key in self.seen or self.over():
            return None
        self.seen.add(key)
        self.setting.say(f"try     {'; '.join(edit.words for edit in edits)}")
        steps = applied(self.steps, edits)
        changed = {number for edit in edits for number in edit.texts}
        replay: Replay | None = None
        if not any(edit.python for edit in edits) and all(steps[n].kind in ("program", "check") for n in changed):
            replay = self.live.again(steps, self.first)
        if replay is None or self.works(replay):
            python = next((edit.python for edit in reversed(edits) if edit.python), self.first.asked)
            try:
                with player(self.setting, self.guide.file.name) as fresh:
                    replay = fresh.play(steps, python, self.pip)
            except DlmatrixError as error:  # what is known of the guide is not to be lost for one try
                self.result.tried.append(Tried(edits=edits, words=error.message, works=False, lost=True))
                return None
        words = verdict(replay).words
        works = self.works(replay)
        self.setting.say(f"        {'it works' if works else words[:160]}")
        lost = not works and replay.first_break is None
        self.result.tried.append(Tried(edits=edits, words=words, works=works, lost=lost))
        if works:
            self.result.found, self.result.replay = edits, replay
        elif _further(replay, self.furthest[1]):
            self.furthest = edits, replay
        return None if replay.blind else replay

    def works(self, replay: Replay) -> bool:
        """Whether nothing broke, and it came beyond the first break."""
        return replay.first_break is None and not replay.blind and _as_far(replay, self.first)


def search(  # noqa: PLR0917 - all that a search is of
    setting: Setting, guide: Guide, steps: Sequence[Step], first: Replay, pip: str, live: Player
) -> Search:
    """From the first break on: changes by size, then those of the next break too, then less what is not needed."""
    work = Searching(setting=setting, guide=guide, steps=steps, first=first, pip=pip, live=live)
    waiting: list[_Waiting] = []
    _wait(work, waiting, (), first)
    while waiting and not work.over():
        *_, edits, edit, replay = heapq.heappop(waiting)
        new, tried = (*edits, edit), work.attempt((*edits, edit))
        while tried is not None and work.result.found is None and _further(tried, replay):
            # What broke in one place the same way as in the next is mended there the same way.
            same = next((e for e in _edits(work, tried, applied(steps, new)) if e.name == edit.name), None)
            if same is None or same.texts.keys() & edit.texts.keys():
                _wait(work, waiting, new, tried)
                break
            new, replay = (*new, same), tried
            tried = work.attempt(new)
        if work.result.found is not None:
            _drop(work)
            return work.result
    edits, replay = work.furthest
    if edits and not work.over():
        with contextlib.suppress(DlmatrixError), player(setting, guide.file.name) as other:
            other.play(applied(steps, edits), replay.asked, pip)
            _by_date(work, edits, replay, other)
    if work.result.found is None:
        _by_date(work, (), first, live)
    return work.result


#: The size of all changes together, a number that keeps the order, the changes made, the one to try, and the replay
#: that broke without it.
_Waiting: TypeAlias = tuple[int, int, tuple[Edit, ...], Edit, Replay]


def _wait(work: Searching, waiting: list[_Waiting], edits: tuple[Edit, ...], replay: Replay) -> None:
    """Put in line what may mend a replay's first break: small changes of two breaks go before a large one of one."""
    size = sum(edit.size for edit in edits)
    for edit in _edits(work, replay, applied(work.steps, edits)):
        work.queued += 1
        heapq.heappush(waiting, (size + edit.size, work.queued, edits, edit, replay))


def _as_far(replay: Replay, first: Replay) -> bool:
    """Whether a replay came beyond the first break: what cannot be judged before that is no success."""
    broken = first.first_break
    stop = replay.unjudged
    return (
        broken is None
        or stop is None
        or (stop.line or stop.step.line) > (broken.line or broken.step.line)
        or _number(replay, stop) > _number(first, broken)
    )


def _number(replay: Replay, played: Played) -> int:
    return replay.played.index(played)


def _further(new: Replay, old: Replay) -> bool:
    """Whether a replay breaks later than another, or at the same step for another reason."""
    if new.first_break is None or old.first_break is None:
        return False
    here, there = _number(new, new.first_break), _number(old, old.first_break)
    return here > there or (here == there and new.first_break.reason != old.first_break.reason)


def _by_date(work: Searching, edits: tuple[Edit, ...], before: Replay, live: Player) -> None:
    """Bounds that bring back what the guide's day had, the fewest and the loosest that do, beside changes made."""
    steps = applied(work.steps, edits)
    date, then = differing(work.setting, work.guide, steps, before)
    broken = before.first_break
    installs = [n for n, step in enumerate(steps) if step.kind == "install"]
    if not then or not installs or broken is None or broken.step.kind == "install":
        return

    def works(names: Sequence[str]) -> bool:
        if work.over():
            return False
        pins = [f"{name}=={then[name]}" for name in names]
        replay = live.pinned(pins, steps, before)
        good = work.works(replay)
        said = "as of " + date + ": " + ", ".join(pins[:4]) + (" …" if len(pins) > 4 else "")
        work.setting.say(f"try     {said}")
        edit = Edit(name="the guide's own time", words=said, size=3, source="the index", texts={})
        work.result.tried.append(Tried(edits=(*edits, edit), words=verdict(replay).words, works=False))
        return good

    names = named_first(list(then), broken.said)
    if not works(names):
        return
    kept = {name: then[name] for name in fewest(names, works)}
    for wanted in (caps(kept), [f"{name}=={version}" for name, version in kept.items()]):
        text = steps[installs[-1]].text
        for one in wanted:
            text = required(text, one)
        words = f"also {', '.join(wanted)}"
        edit = Edit(
            name="a dependency without an upper bound", words=words, size=3, source=f"what the index had on {date}",
            texts={installs[-1]: text},
        )  # fmt: skip
        work.attempt((*edits, edit))
        if work.result.found is not None:
            return


def _drop(work: Searching) -> None:
    """Take away again each change without which the guide works as well."""
    for edit in work.result.found or ():
        fewer = tuple(one for one in work.result.found or () if one is not edit)
        if fewer and not any(edit.texts.keys() & one.texts.keys() for one in fewer):  # else one is made on the other
            work.attempt(fewer)


def _edits(work: Searching, replay: Replay, steps: Sequence[Step]) -> list[Edit]:
    """What to try for a replay's first break, the smallest first."""
    found: list[Edit] = []
    broken = replay.first_break
    for cause, find, put in candidates(broken) if broken else ():
        if cause.change == "python":
            if other := _other_python(work.setting, find, replay.python):
                texts = _python_texts(steps, other)
                words = f"Python {other}"
                found.append(Edit(name=cause.name, words=words, size=0, source=cause.source, texts=texts, python=other))
        elif cause.change == "newer":
            found += _newer(work.live, cause, find, steps)
        elif broken and (edit := edit_of(cause, find, put, broken, steps)) and _can_be_had(work, cause, put, replay):
            found.append(edit)
    return sorted(found, key=lambda one: one.size)


def _can_be_had(work: Searching, cause: Cause, put: str, replay: Replay) -> bool:
    """Whether a change is worth a try: an old version that has no wheel for this Python is none."""
    bounded = cause.change == "rename" and re.search(r"[<=]", put)
    return not bounded or bool(resolved(work.setting, [put], replay.python, alone=True))


def _python_texts(steps: Sequence[Step], python: str) -> dict[int, str]:
    """Where the guide names its Python, it is to name the other."""
    found = {
        n: re.sub(r"(\bpython=+)3\.\d+", rf"\g<1>{python}", step.text)
        for n, step in enumerate(steps)
        if step.kind == "world"
    }
    return {n: text for n, text in found.items() if text != steps[n].text}


def _other_python(setting: Setting, requirement: str, python: str) -> str:
    """The nearest other Python of this machine for which the index has a wheel."""
    here = Version(python)
    for other in sorted(PYTHONS, key=lambda one: abs(Version(one).minor - here.minor)):
        if (
            other != python
            and setting.pythons.find(setting.root, other)
            and resolved(setting, [requirement], other, alone=True)
        ):
            return other
    return ""


def _newer(live: Player, cause: Cause, package: str, steps: Sequence[Step]) -> Iterator[Edit]:
    """The next version of a pinned package of which the index has a file for this Python."""
    for number, step in enumerate(steps):
        for asked in requirements(step.text) if step.kind == "install" else []:
            found = re.fullmatch(rf"({re.escape(package)})==([\w.]+)", asked, re.I)
            if found and (version := _next(live.versions(found[1]), found[2])):
                put = f"{found[1]}=={version}"
                texts = {number: renamed(step.text, found[1], put)}
                yield Edit(name=cause.name, words=f"{asked} → {put}", size=3, source=cause.source, texts=texts)


def _next(versions: Sequence[str], old: str) -> str:
    """The version that comes after one, of releases alone; nothing where there is none."""
    newer = [one for one in versions if not Version(one).is_prerelease and Version(one) > Version(old)]
    return min(newer, key=Version, default="")
