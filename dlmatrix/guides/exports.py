"""What comes of a replay beside its report: a diff of the guide, a Dockerfile, an env file and the matrix's own env."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from dlmatrix.guides.edits import Edit, applied
from dlmatrix.guides.judge import Replay
from dlmatrix.guides.model import Guide, Step
from dlmatrix.matrix.model import Matrix


def diff(guide: Guide, steps: Sequence[Step], edits: Sequence[Edit]) -> str:
    """The change as a diff of the guide; of the repaired step where the guide itself cannot be read as it stands."""
    text = guide.text
    apart: list[str] = []
    for before, after in zip(steps, applied(steps, edits), strict=True):
        if before.text == after.text:
            continue
        changed = None if before.repairs or guide.format == "notebook" else _changed(text, before, after)
        if changed is None:
            apart += _unified(f"{guide.file.name}, line {before.line}", before.text, after.text)
        else:
            text = changed
    found = _unified(guide.file.name, guide.text, text) if text != guide.text else []
    python = next((edit.python for edit in reversed(edits) if edit.python), "")
    named = [f"with Python {python}"] if python else []
    return "\n".join([*named, *found, *apart]) + "\n"


def _unified(name: str, before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="", n=1)
    return list(lines)


def _changed(text: str, before: Step, after: Step) -> str | None:
    """A guide's text with a step's lines changed where they stand; None where they are not found."""
    lines = text.split("\n")
    old, new = before.text.splitlines(), after.text.splitlines()
    at = before.line - 1
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        anchor = old[i].strip() if tag != "insert" else old[i - 1].strip() if i else ""
        place = next((n for n in range(at, len(lines)) if anchor and anchor in lines[n]), None)
        if place is None:
            return None
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        if tag == "insert":
            lines[place + 1 : place + 1] = [indent + one for one in new[k:m]]
        elif j - i == m - k:
            for offset in range(j - i):
                lines[place + offset] = lines[place + offset].replace(old[i + offset].strip(), new[k + offset].strip())
        else:
            return None
    return "\n".join(lines)


def dockerfile(replay: Replay, name: str, words: str) -> str:
    """What was carried out as a Dockerfile; ``name`` is the guide's, ``words`` its verdict."""
    lines = [f"# {name}, as it was replayed: {words}".replace("\n", " ")]
    lines += [f"FROM python:{replay.python}-slim", "WORKDIR /guide"]
    for number, one in enumerate(replay.played):
        if one.outcome != "passed" or not one.ran:
            continue
        if one.step.form == "shell":
            lines += [f"RUN <<'STEP-{number}'", one.ran, f"STEP-{number}"]
        else:
            name = f"program-{number}.py"
            lines += [
                f"COPY <<'STEP-{number}' {name}",
                one.step.text.strip("\n"),
                f"STEP-{number}",
                f"RUN python {name}",
            ]
    return "\n".join(["# syntax=docker/dockerfile:1", *lines]) + "\n"


_SERIES = (("torch", "torch"), ("tensorflow", "tf"), ("tensorflow-cpu", "tf"))


def env_file(replay: Replay) -> str:
    """What the guide installs as a file for envs/, where it is a framework that the matrix knows; else nothing."""
    for name, family in _SERIES:
        if version := replay.installed.get(name):
            plain = version.partition("+")[0]
            series = "torch" if family == "torch" else "tf1" if plain.startswith("1.") else "tf2"
            more = [
                f"{other}=={replay.installed[other]}" for other in ("numpy", "protobuf") if other in replay.installed
            ]
            wanted = ", ".join(f'"{one}"' for one in (f"{name}=={version}", *more))
            return (
                f'series = "{series}"\nversion = "{plain}"\npython = "{replay.python}"\n\n'
                f"[cpu]\nrequirements = [{wanted}]\nsize-budget-mb = 3000\n"
            )
    return ""


def nearest_env(matrix: Matrix, replay: Replay) -> str:
    """The env of the matrix that has the framework in the version that the guide brings; nothing where none has."""
    for name, family in _SERIES:
        if version := replay.installed.get(name):
            minor = ".".join(version.split(".")[:2])
            series = ("torch",) if family == "torch" else ("tf1", "tf2")
            for env in matrix.envs:
                if env.variant == "cpu" and env.series in series and env.short == minor:
                    return env.name
    return ""
