"""In which order changes are tried, on worlds that are made up: what a guide is about is changed last."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from dlmatrix.guides.edits import applied, candidates, edit_of
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Step
from dlmatrix.guides.play import Player
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.search import search
from dlmatrix.guides.signs import cause
from dlmatrix.guides.steps import read_steps
from tests.unit.guides.worlds import setting

GUIDE = "```bash\npip install alpha==2.3\n```\n\n```bash\npython -c 'import alpha'\n```\n"


class Live:
    """Plays as a world does in which alpha 2.3 is for Python 3.8 alone and does not work with today's protobuf."""

    def __init__(self, steps: Sequence[Step], capped: str) -> None:
        self.steps, self.capped = steps, capped

    def versions(self, _: str) -> list[str]:
        return ["2.12"]

    def play(self, steps: Sequence[Step], python: str, pip: str) -> Replay:
        install, check = steps
        said = ["", ""]
        if "alpha==2.3" in install.text and python != "3.8":
            said[0] = "ERROR: No matching distribution found for alpha==2.3"
        elif "alpha==2.3" in install.text and self.capped not in install.text:
            said[1] = "TypeError: Descriptors cannot be created directly."
        played = [
            Played(step=step, outcome="failed" if words else "passed", reason=words, said=words)
            for step, words in zip((install, check), said, strict=True)
        ]
        return Replay(played=tuple(played), asked=python, python=python, pip=pip)


@pytest.mark.parametrize(
    ("capped", "wanted"),
    [("protobuf<3.21", ["Python 3.8", "also protobuf<3.21"]), ("none does", ["alpha==2.3 → alpha==2.12"])],
)
def test_what_a_guide_pins_is_kept_where_it_can_be(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capped: str, wanted: list[str]
) -> None:
    (tmp_path / "guide.md").write_text(GUIDE, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    steps = read_steps(guide).steps
    live = Live(steps, capped)

    @contextlib.contextmanager
    def fresh(*_: object) -> Iterator[Live]:
        yield live

    monkeypatch.setattr("dlmatrix.guides.search.player", fresh)
    monkeypatch.setattr("dlmatrix.guides.search._other_python", lambda *_: "3.8")
    found = search(setting(root, None, []), guide, steps, live.play(steps, "3.11", ""), "", cast(Player, live))
    assert [edit.words for edit in found.found or ()] == wanted
    assert len(found.tried) == 3


class Later(Live):
    """Plays as a world does in which a second dependency breaks behind the first, of which no message says anything."""

    def play(self, steps: Sequence[Step], python: str, pip: str, pins: Sequence[str] = ()) -> Replay:
        install, check = steps
        said = ""
        if "protobuf<3.21" not in install.text:
            said = "TypeError: Descriptors cannot be created directly."
        elif "inline<0.2" not in install.text and "inline==0.1" not in pins:
            said = "AttributeError: nobody knows that name"
        played = (
            Played(step=install, outcome="passed"),
            Played(step=check, outcome="failed" if said else "passed", reason=said, said=said),
        )
        return Replay(played=played, asked=python, python=python, pip=pip)

    def pinned(self, pins: Sequence[str], steps: Sequence[Step], before: Replay) -> Replay:
        return self.play(steps, before.asked, "", pins)


def test_the_guide_s_day_is_asked_of_the_break_behind_the_one_that_a_message_mends(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guide.md").write_text(GUIDE, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    steps = read_steps(guide).steps
    live = Later(steps, "")

    @contextlib.contextmanager
    def fresh(*_: object) -> Iterator[Live]:
        yield live

    monkeypatch.setattr("dlmatrix.guides.search.player", fresh)
    then = {"inline": "0.1", "other": "3.0", "more": "5.0"}
    monkeypatch.setattr("dlmatrix.guides.search.differing", lambda *_: ("2022-12-01", then))
    found = search(setting(root, None, []), guide, steps, live.play(steps, "3.9", ""), "", cast(Player, live))
    assert [edit.words for edit in found.found or ()] == ["also protobuf<3.21", "also inline<0.2"]
    assert len(found.tried) <= 12


def changes(said: str, *commands: str) -> list[str]:
    """What is tried for a message of the last of some commands: the commands as they are then."""
    kinds = {"pip": "install", "mim": "install"}
    steps = [Step(text=one, kind=kinds.get(one[:3], "program"), line=n) for n, one in enumerate(commands)]
    broken = Played(step=steps[-1], outcome="failed", said=said)
    edits = [edit_of(cause, find, put, broken, steps) for cause, find, put in candidates(broken)]
    return ["\n".join(step.text for step in applied(steps, [edit])) for edit in edits if edit]


NO_TORCH = "ModuleNotFoundError: No module named 'torch'"


@pytest.mark.parametrize(
    ("said", "commands", "changed"),
    [
        (
            NO_TORCH,
            ["pip install a", "mim install b"],
            ["pip install a\npip install b", "pip install a torch\nmim install b"],
        ),
        (NO_TORCH, ["pip install a", "pip install b"], ["pip install a torch\npip install b"]),
        (NO_TORCH, ["pip install a", "python x.py"], ["pip install a torch\npython x.py"]),
        ("No module named 'yaml'", ["pip install a", "python x.py"], ["pip install a PyYAML\npython x.py"]),
        ("No module named 'PIL'", ["pip install Pillow", "python x.py"], []),
        ("No module named 'nobody_knows'", ["pip install a", "python x.py"], []),
    ],
)  # fmt: skip
def test_what_an_installation_or_a_program_lacks_is_there_before_it(
    said: str, commands: list[str], changed: list[str]
) -> None:
    assert changes(said, *commands) == changed


def test_the_line_of_a_build_that_says_why_is_the_cause() -> None:
    why = "error in gym setup command: 'extras_require' must be a dictionary"
    assert cause(f"  x python setup.py egg_info\n      {why}\n\nerror: subprocess-exited-with-error\n") == why
