"""Finds, by trying, the smallest change with which a guide works: a try replays all steps in an empty world."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from dlmatrix.guides.classify import requirements
from dlmatrix.guides.edits import Edit, applied, candidates, edit_of, renamed
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.play import Played, Replay
from dlmatrix.guides.replay import Setting, replay_once, verdict
from dlmatrix.matrix.site import index_config, uv_environment
from dlmatrix.system.process import run_lines
from dlmatrix.system.working import scratch

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


@dataclass(kw_only=True)
class Search:
    """What was tried, and the smallest change that works, if one was found."""

    tried: list[Tried] = field(default_factory=list)
    found: tuple[Edit, ...] | None = None
    replay: Replay | None = None


def search(setting: Setting, guide: Guide, steps: Sequence[Step], first: Replay, pip: str) -> Search:
    """From the first break on: changes by size, then those of the next break too, then less what is not needed."""
    result = Search()
    waiting: list[tuple[tuple[Edit, ...], Replay]] = [((), first)]
    seen: set[str] = set()
    while waiting:
        edits, replay = waiting.pop(0)
        broken = replay.first_break
        if broken is None:
            continue
        now = applied(steps, edits)
        for edit in sorted(_edits(setting, broken, now, replay.python), key=lambda one: one.size):
            new = (*edits, edit)
            key = repr([(one.python, sorted(one.texts.items())) for one in new])
            if key in seen:
                continue
            seen.add(key)
            if len(result.tried) >= MOST_TRIES or time.monotonic() > setting.until:
                return result
            tried = _try(setting, guide, steps, new, first, pip, result)
            if tried is None:
                continue
            if result.tried[-1].works:
                result.found, result.replay = new, tried
                _drop(setting, guide, steps, first, pip, result)
                return result
            if _further(tried, replay):
                waiting.append((new, tried))
        waiting.sort(key=lambda one: len(one[0]))
    return result


def _try(  # noqa: PLR0917
    setting: Setting,
    guide: Guide,
    steps: Sequence[Step],
    edits: tuple[Edit, ...],
    first: Replay,
    pip: str,
    result: Search,
) -> Replay | None:
    """Replay with changes, and note how it went."""
    python = next((edit.python for edit in reversed(edits) if edit.python), first.asked)
    what = "; ".join(edit.words for edit in edits)
    setting.say(f"try     {what}")
    replay = replay_once(setting, guide, applied(steps, edits), python, pip)
    said = verdict(replay)
    works = replay.first_break is None and not replay.blind and _as_far(replay, first)
    setting.say(f"        {'it works' if works else said.words[:160]}")
    result.tried.append(Tried(edits=edits, words=said.words, works=works))
    return None if replay.blind else replay


def _as_far(replay: Replay, first: Replay) -> bool:
    """Whether a replay came beyond the first break: what cannot be judged before that is no success."""
    broken = first.first_break
    stop = replay.unjudged
    return (
        broken is None
        or stop is None
        or stop.step.line > broken.step.line
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


def _drop(  # noqa: PLR0917
    setting: Setting, guide: Guide, steps: Sequence[Step], first: Replay, pip: str, result: Search
) -> None:
    """Take away again each change without which the guide works as well."""
    for edit in result.found or ():
        fewer = tuple(one for one in result.found or () if one is not edit)
        if not fewer or len(result.tried) >= MOST_TRIES or time.monotonic() > setting.until:
            continue
        if any(edit.texts.keys() & one.texts.keys() for one in fewer):
            continue  # one was made on top of the other
        replay = _try(setting, guide, steps, fewer, first, pip, result)
        if replay is not None and result.tried[-1].works:
            result.found, result.replay = fewer, replay


def _edits(setting: Setting, broken: Played, steps: Sequence[Step], python: str) -> Iterator[Edit]:
    for cause, find, put in candidates(broken, steps):
        if cause.change == "python":
            other = _other_python(setting, find, python)
            if other:
                yield Edit(
                    name=cause.name,
                    words=f"Python {other}",
                    size=0,
                    source=cause.source,
                    texts=_python_texts(steps, other),
                    python=other,
                )
        elif cause.change == "newer":
            yield from _newer(setting, cause.name, cause.source, find, steps, python)
        elif edit := edit_of(cause, find, put, broken, steps):
            yield edit


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
        if other != python and setting.pythons.find(setting.root, other) and _resolved(setting, [requirement], other):
            return other
    return ""


def _newer(  # noqa: PLR0917
    setting: Setting, name: str, source: str, package: str, steps: Sequence[Step], python: str
) -> Iterator[Edit]:
    """The next version of a pinned package that has a wheel for this Python."""
    for number, step in enumerate(steps):
        for asked in requirements(step.text) if step.kind == "install" else []:
            found = re.fullmatch(rf"({re.escape(package)})==([\w.]+)", asked, re.I)
            resolved = (
                _resolved(setting, [f"{found[1]}>{found[2]}"], python, "--resolution=lowest-direct") if found else {}
            )
            if found and (version := resolved.get(package.lower())):
                put = f"{found[1]}=={version}"
                text = renamed(step.text, found[1], put)
                yield Edit(name=name, words=f"{asked} → {put}", size=1, source=source, texts={number: text})


def _resolved(setting: Setting, asked: Sequence[str], python: str, *words: str) -> dict[str, str]:
    """What the index would give for requirements, wheels alone; empty where it gives nothing."""
    with scratch(setting.root) as folder:
        (folder / "uv.toml").write_text(index_config(setting.site), encoding="utf-8")
        (folder / "in.txt").write_text("\n".join(asked) + "\n", encoding="utf-8")
        command = [
            setting.pythons.uv,
            "--config-file",
            str(folder / "uv.toml"),
            "--no-progress",
            "pip",
            "compile",
            "--no-deps",
            "--no-header",
        ]
        command += ["--no-annotate", "--only-binary=:all:", "--python-version", python, *words, str(folder / "in.txt")]
        environ = uv_environment(setting.site, os.environ) | {"UV_PYTHON_DOWNLOADS": "never"}
        done = run_lines(command, say=lambda line: None, environ=environ, cwd=Path(folder), timeout_seconds=120)
    if done.exit_code != 0:
        return {}
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return {a.lower(): b for a, _, b in (line.partition("==") for line in lines if "==" in line)}
