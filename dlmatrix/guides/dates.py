"""What the guide's own time would have installed, and which of it matters: found without knowing any package.

Today's versions and those of the guide's date are held against each other; where the old ones work, those that differ
are halved and halved again (delta debugging), what the traceback names first, until no smaller set works.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packaging.version import InvalidVersion, Version

from dlmatrix.errors import UsageError
from dlmatrix.guides.classify import requirements
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.replay import Setting
from dlmatrix.matrix.model import normal_name
from dlmatrix.matrix.site import index_config, uv_environment
from dlmatrix.system.process import run_lines
from dlmatrix.system.working import scratch

_TORCH = re.compile(r"(?:torch|triton|nvidia-)")
#: A day that never was, for what may be of any; and how many packages may be.
_LATER, _MOST_LATER = "2999-01-01", 8
#: The first and the last month in which a guide's pins are looked for.
_FIRST_YEAR = 2016


def resolved(
    setting: Setting, asked: Sequence[str], python: str, *, date: str = "", alone: bool = False
) -> dict[str, str]:
    """What the index would give for requirements on a day, wheels only; empty where it gives nothing."""
    later: list[str] = []
    with scratch(setting.root) as folder:
        (folder / "uv.toml").write_text(index_config(setting.site), encoding="utf-8")
        (folder / "in.txt").write_text("\n".join(asked) + "\n", encoding="utf-8")
        command = [setting.pythons.uv, "--config-file", str(folder / "uv.toml"), "--no-progress", "pip", "compile"]
        command += ["--no-header", "--no-annotate", "--only-binary=:all:", "--python-version", python]
        command += [*(["--no-deps"] if alone else []), *(["--exclude-newer", date] if date else [])]
        environ = uv_environment(setting.site, os.environ) | {"UV_PYTHON_DOWNLOADS": "never"}
        while True:
            done = run_lines(
                [*command, *later, str(folder / "in.txt")],
                say=lambda line: None,
                environ=environ,
                cwd=Path(folder),
                timeout_seconds=120,
            )
            # Nothing is built here, so what had no wheel on that day is taken from a later one.
            source = re.search(r"Wheels are required for `([\w.-]+)`", done.said) if date and done.exit_code else None
            if source is None or f"{source[1]}={_LATER}" in later or len(later) > 2 * _MOST_LATER:
                break
            later += ["--exclude-newer-package", f"{source[1]}={_LATER}"]
    if done.exit_code != 0:
        return {}
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return {normal_name(a): b for a, _, b in (line.partition("==") for line in lines if "==" in line)}


def asked_of(steps: Sequence[Step], broken: Played) -> list[str]:
    """What the guide asks an index for, up to the break."""
    before = itertools.takewhile(lambda step: step != broken.step, steps)
    installs = [step for step in (*before, broken.step) if step.kind == "install"]
    return [one for step in installs for one in asked_in(step)]


def asked_in(step: Step) -> list[str]:
    """What an install command asks an index for: no files, no addresses."""
    found = requirements(step.text)
    return [one for one in found if re.match(r"[A-Za-z][\w.-]*(?:\[[\w,-]+\])?(?:[<>=!~].*)?$", one)]


def held_to(setting: Setting, steps: Sequence[Step], python: str, date: str) -> tuple[str, ...]:
    """What a guide's installations would have brought on a day, as pins. Raises UsageError where that is nothing."""
    asked = [one for step in steps if step.kind == "install" for one in asked_in(step)]
    found = resolved(setting, asked, python, date=date) if asked else {}
    if asked and not found:
        raise UsageError(
            f"--date {date}: the index had no wheels of {', '.join(asked)} for Python {python} on that day",
            "name a later day, or another --python",
        )
    # Which torch can be had here without CUDA is another matter: see translate.cpu_torch.
    return tuple(f"{name}=={version}" for name, version in found.items() if not _TORCH.match(name))


def differing(setting: Setting, guide: Guide, steps: Sequence[Step], replay: Replay) -> tuple[str, dict[str, str]]:
    """The guide's day, and what had another version then, with that version; none where nothing tells."""
    broken = replay.first_break
    asked = asked_of(steps, broken) if broken else []
    if not asked:
        return "", {}
    date = guide.date or _pinned_date(setting, [one for one in asked if "==" in one], replay.python)
    then = resolved(setting, asked, replay.python, date=date) if date else {}
    fixed = {normal_name(re.split(r"[\[=]", one)[0]) for one in asked if "==" in one}
    return date, {
        name: version
        for name, version in then.items()
        if name not in fixed and replay.installed.get(name, version) != version
    }


def _pinned_date(setting: Setting, pins: Sequence[str], python: str) -> str:
    """The first month on which all pins are there: the guide is no older."""
    if not pins or not resolved(setting, pins, python, alone=True):
        return ""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    low, high = 0, (today.year - _FIRST_YEAR) * 12 + today.month
    while low < high:
        middle = (low + high) // 2
        if resolved(setting, pins, python, date=_month(middle), alone=True):
            high = middle
        else:
            low = middle + 1
    return _month(low)


def _month(number: int) -> str:
    return f"{_FIRST_YEAR + number // 12}-{number % 12 + 1:02}-01"


def named_first(names: Sequence[str], said: str) -> list[str]:
    """Names of distributions, those that a traceback leads through before the others, the deepest first."""
    modules = [one.lower().replace("_", "-") for one in re.findall(r"site-packages/([\w-]+)", said)]
    modules += [one.lower() for one in re.findall(r"\b([a-z][\w-]{3,})\b", said.splitlines()[-1] if said else "")]
    place = {name: max((n for n, module in enumerate(modules) if module == name), default=-1) for name in names}
    return sorted(names, key=lambda name: -place[name])


def fewest(names: Sequence[str], works: Callable[[Sequence[str]], bool]) -> list[str]:
    """A set of names of which none can be left out: delta debugging, the first names tried alone first."""
    for name in names[:3]:
        if works([name]):
            return [name]
    left, pieces = list(names), 2
    while len(left) > 1:
        size = -(-len(left) // pieces)
        parts = [left[n : n + size] for n in range(0, len(left), size)]
        smaller = next((part for part in parts if len(part) < len(left) and works(part)), None)
        if smaller is not None:
            left, pieces = smaller, 2
            continue
        rests = [[one for one in left if one not in part] for part in parts] if len(parts) > 2 else []
        smaller = next((rest for rest in rests if works(rest)), None)
        if smaller is not None:
            left, pieces = smaller, max(pieces - 1, 2)
        elif pieces >= len(left):
            break
        else:
            pieces = min(len(left), pieces * 2)
    return left


def caps(versions: Mapping[str, str]) -> list[str]:
    """The loosest bounds that keep a version's series: below its next minor version."""
    found = []
    for name, version in versions.items():
        try:
            release = [*Version(version).release, 0]
        except InvalidVersion:
            continue
        found.append(f"{name}<{release[0]}.{release[1] + 1}")
    return found
