"""Guides replayed in worlds of their own, against an index made here: nothing reaches a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import xmlschema

from dlmatrix.document.result import REPLAY, read_result
from dlmatrix.errors import BuildError
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.edits import Edit
from dlmatrix.guides.judge import Played, Replay, judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.outcome import Outcome, outcome_lines, summary, words_of
from dlmatrix.guides.play import Player
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import Verdict, verdict, with_implied
from dlmatrix.guides.search import Search, Searching
from dlmatrix.guides.steps import read_steps
from tests.unit.guides.worlds import HEALTHY, PYTHON, outcomes, played, setting

Cli = Callable[..., tuple[int, str, str]]


@pytest.mark.usefixtures("contained")
def test_a_healthy_guide_works_and_its_state_is_carried(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, HEALTHY)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]
    assert outcomes(replay)[-2:] == ["skipped", "unjudged"]
    assert replay.installed["pip"]


@pytest.mark.usefixtures("contained")
def test_what_is_printed_is_held_against_the_guide(root: Path, tmp_path: Path, index: Path) -> None:
    program = "```python\nimport alpha\nprint(alpha.two() + 1)\n```\n"
    text = f"```bash\npip install alpha\n```\n{program}The output is\n```\n2\n```\n"
    replay, found, _ = played(root, tmp_path, index, text)
    assert verdict(replay).kind == "broken"
    assert replay.first_break
    assert "says that it prints '2', and it prints '3'" in replay.first_break.reason
    assert found is not None
    assert found.found is None


@pytest.mark.usefixtures("contained")
def test_a_break_has_its_line_and_is_mended_by_what_its_message_says(root: Path, tmp_path: Path, index: Path) -> None:
    text = (
        "# A\n\n```bash\npip install alpha\n```\n\n```python\nimport alpha\nimport six\nprint(alpha.two())\n# 2\n```\n"
    )
    replay, found, change = played(root, tmp_path, index, text)
    assert verdict(replay).words == "broken at line 9: ModuleNotFoundError: No module named 'six'"
    assert found is not None
    assert [one.words for one in found.found or ()] == ["also six"]
    assert "-pip install alpha\n+pip install alpha six\n" in change
    assert [tried.works for tried in found.tried] == [True]


@pytest.mark.usefixtures("contained")
def test_every_program_that_breaks_alike_is_mended_alike(root: Path, tmp_path: Path, index: Path) -> None:
    text = "```bash\npip install beta==1.0\n```\n"
    for number in (1, 2):
        text += f"\n```python\nimport beta as tf\nprint({number}, tf.Old(3))\n```\n"
    replay, found, change = played(root, tmp_path, index, text)
    assert replay.first_break
    assert replay.first_break.line == 7
    assert found is not None
    wanted = [f"print({number}, tf.Old(3)) → print({number}, tf.compat.v1.Old(3))" for number in (1, 2)]
    assert [one.words for one in found.found or ()] == wanted
    assert change.count("+print(") == 2


@pytest.mark.usefixtures("contained")
def test_a_pin_that_the_index_lost_becomes_the_next_version(root: Path, tmp_path: Path, index: Path) -> None:
    _, found, change = played(root, tmp_path, index, "```bash\npip install alpha==0.9\n```\n")
    assert found is not None
    assert "+pip install alpha==1.0\n" in change


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("command", ["pip install alpha==9.9", "conda create -n old python=3.8"])
def test_an_index_that_does_not_answer_is_no_break(root: Path, tmp_path: Path, command: str) -> None:
    if "3.8" in command and not setting(root, None, []).pythons.find(root, "3.8"):
        pytest.skip("Python 3.8, whose pip is had from the index, is not on this machine")
    replay, found, _ = played(root, tmp_path, None, f"```bash\n{command}\n```\n")
    assert verdict(replay).words == "could not look: no package index answers"
    assert found is None


@pytest.mark.usefixtures("contained")
def test_a_version_that_an_index_lacks_is_a_break(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, "```bash\npip install alpha==9.9\n```\n")
    assert "No matching distribution found for alpha==9.9" in verdict(replay).words


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```bash\ndocker pull alpha\ndocker run --gpus all alpha\n```\n", "not judged: it needs a Docker engine"),
        ("```bash\npip install -r requirements.txt\n```\n", "not judged: it needs requirements.txt, which"),
        ("```python\nopen('data.csv').read()\n```\n```python\nprint(1)\n```\n", "not judged: it needs data.csv"),
        ("```python\nimport time\ninput('name? ')\n```\n", "not judged: it needs a person"),
        (
            "```python\nclass cuda:\n    is_available = staticmethod(lambda: False)\nprint(cuda.is_available())\n```\n"
            "It prints\n```\nTrue\n```\n",
            "not judged: it needs a GPU",
        ),
        ("# Words only\n\nnothing\n", "not judged: it has no step to carry out"),
    ],
)
def test_what_needs_something_else_is_neither_a_pass_nor_a_break(
    root: Path, tmp_path: Path, index: Path, text: str, words: str
) -> None:
    replay, _, _ = played(root, tmp_path, index, text)
    assert verdict(replay).words.startswith(words)


@pytest.mark.parametrize(("line", "shown"), [(9, "b = a.no"), (0, "import a"), (40, "import a")])
def test_the_line_that_broke_is_the_one_that_is_shown(tmp_path: Path, line: int, shown: str) -> None:
    (tmp_path / "guide.md").write_text("x", encoding="utf-8")
    step = Step(text="import a\nb = a.no\n", kind="program", line=8, form="program")
    replay = Replay(played=(Played(step=step, outcome="failed", line=line),), asked=PYTHON, python=PYTHON, pip="")
    guide = read_guide(tmp_path / "guide.md")
    found = Outcome(guide=guide, steps=(step,), replay=replay, verdict=verdict(replay), search=None, env="")
    assert f"first break: line {line or 8}: {shown}" in list(outcome_lines(found))


def test_data_that_cannot_be_had_is_named_by_the_error_at_the_end() -> None:
    last = "Exception: URL fetch failure on https://data.invalid/mnist.npz: None -- [Errno 111] Connection refused"
    said = f"{TRACE}socket.gaierror: [Errno -2] Name or service not known\n\nDuring handling …\n\n{TRACE}{last}\n"
    step = Step(line=1, kind="program", form="cell", text="load_data()")
    found = judged(step, Ended(exit_code=1, stdout="", stderr=said, seconds=1.0), "", said, "guide.md", installs=True)
    assert (found.outcome, found.reason) == ("unjudged", f"it needs the network, for data: {last}")


def test_an_installation_that_was_lost_from_the_page_is_not_made_up(tmp_path: Path) -> None:
    """The guide has one, of which nobody can know what it installs: what follows is not judged."""
    (tmp_path / "guide.md").write_text(
        "```bash\npip install *** torch\n```\n\n```python\nimport numpy\nprint(numpy.pi)\n```\n", encoding="utf-8"
    )
    guide = read_guide(tmp_path / "guide.md")
    reading = read_steps(guide)
    assert [step.kind for step in reading.steps] == ["hole", "program"]
    assert with_implied(guide, reading) == reading.steps


@pytest.mark.usefixtures("contained")
def test_a_library_that_a_wheel_needs_is_a_break_and_no_missing_file(root: Path, tmp_path: Path, index: Path) -> None:
    said = "libcublas.so.9.0: cannot open shared object file: No such file or directory"
    replay, _, _ = played(root, tmp_path, index, f"```python\nraise ImportError({said!r})\n```\n")
    assert verdict(replay).words == f"broken at line 2: ImportError: {said}"


@pytest.mark.usefixtures("contained")
def test_cells_are_one_process_and_the_one_that_breaks_is_named(root: Path, tmp_path: Path, index: Path) -> None:
    sources = ["import os\nfirst = os.getpid()", "first == os.getpid()", "2 + 2", "nothing_of_that_name", "print(1)"]
    outputs = ["", "True", "4", "", ""]
    cells = [
        {"cell_type": "code", "source": one, "outputs": [{"data": {"text/plain": out}}]}
        for one, out in zip(sources, outputs, strict=True)
    ]
    replay, _, _ = played(root, tmp_path, index, json.dumps({"metadata": {}, "cells": cells}), "book.ipynb")
    assert outcomes(replay) == ["passed", "passed", "passed", "failed", "skipped"]
    assert replay.first_break
    assert replay.first_break.reason == "NameError: name 'nothing_of_that_name' is not defined"
    assert replay.played[0].seconds == 0.0 < replay.played[3].seconds


def test_a_try_that_cannot_be_made_loses_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise BuildError("the guide's environment: no such pip")

    monkeypatch.setattr("dlmatrix.guides.search.player", refuses)
    (tmp_path / "guide.md").write_text("```bash\npip install alpha\n```\n", encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    steps = read_steps(guide).steps
    broken = Played(step=steps[0], outcome="failed", reason="so it was")
    first = Replay(played=(broken,), asked=PYTHON, python=PYTHON, pip="")
    world = cast(Player, None)  # not asked: an installation is tried in a new one
    work = Searching(setting=setting(root, None, []), guide=guide, steps=steps, first=first, pip="", live=world)
    edit = Edit(name="a name", words="beta", size=1, source="", texts={0: "pip install beta"})
    assert work.attempt((edit,)) is None
    assert [(one.words, one.works) for one in work.result.tried] == [("the guide's environment: no such pip", False)]
    assert work.result.tried[0].lost
    found = Outcome(
        guide=guide, steps=tuple(steps), replay=first, verdict=verdict(first), search=work.result, env=""
    )  # fmt: skip
    assert "could not be tried: beta" in list(outcome_lines(found))
    assert words_of(found) == "broken at line 2: so it was; nothing that could be tried mends it"


def test_what_could_not_be_judged_stands_beside_what_works() -> None:
    done = Played(step=Step(text="pip install alpha", kind="install", line=3), outcome="passed")
    lost = Played(step=Step(text="model***", kind="hole", line=7, form="program"), outcome="unjudged")
    replay = Replay(played=(done,), asked=PYTHON, python=PYTHON, pip="")
    assert verdict(replay) == Verdict(kind="works", words="works")
    found = verdict(replace(replay, played=(done, lost)))
    assert found == Verdict(kind="works", words="works, but for what could not be judged at line 7")


def test_the_summary_holds_no_html_of_a_guide(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("```bash\n\npython a`b|c.py\n```\n", encoding="utf-8")
    step = Step(text="python a`b|c.py", kind="program", line=3)
    one = Played(step=step, outcome="failed", reason="ValueError: <img src=x> @somebody a|b")
    replay = Replay(played=(one,), asked=PYTHON, python=PYTHON, pip="24")
    found = Outcome(
        guide=read_guide(tmp_path / "guide.md"),
        steps=(step,),
        replay=replay,
        verdict=verdict(replay),
        search=None,
        env="",
    )
    text = summary(found)
    assert "<img" not in text
    assert "@somebody" not in text
    edit = Edit(name="a name", words="other", size=1, source="", texts={0: "python other.py"})
    mended = summary(replace(found, search=Search(found=(edit,))))
    assert mended.rstrip().rpartition("\n")[2] == "````"  # the guide has a fence of three
    assert "| 3 | `python a'b\\|c.py` | failed | ValueError: &lt;img src=x&gt; " in text


@pytest.mark.usefixtures("contained")
def test_a_replay_s_report_has_the_files_of_a_run_s(tmp_path: Path, cli: Cli) -> None:
    guide, folder = tmp_path / "guide.md", tmp_path / "r"
    guide.write_text("```bash\necho here\npython -c 'import math; math.alpha'\n```\n", encoding="utf-8")
    code, out, _ = cli("replay", str(guide), "--no-search", "--report", str(folder))
    assert code == 1
    assert "verdict: broken at line 3" in out
    assert {one.name for one in folder.iterdir()} == {
        *("result.json", "report.html", "summary.md", "junit.xml", "Dockerfile")
    }
    assert read_result(folder, (REPLAY,)).data["first_break"]["line"] == 3
    xmlschema.XMLSchema(Path(__file__).parents[1] / "report" / "junit.xsd").validate(folder / "junit.xml")
    (folder / "report.html").unlink()
    assert cli("page", str(folder))[0] == 0
    assert "math.alpha" in (folder / "report.html").read_text(encoding="utf-8")
    code, _, err = cli("compare", str(folder), str(folder))
    assert (code, "is of a guide's replay, not of a run" in err) == (2, True)


TRACE = 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("command", "printed", "stderr", "outcome"),
    [
        ('python -c "import no"; echo done', "done\n", f"{TRACE}ModuleNotFoundError: No module named 'no'\n", "failed"),
        ("python x.py 2>&1 | cat", f"1\n{TRACE}ZeroDivisionError: division by zero\n", "", "failed"),
        ("pip install no | tail", "", "ERROR: No matching distribution found for no\n[notice] upgrade pip\n", "failed"),
        ("python x.py | cat", "", f"{TRACE}urllib.error.URLError: <urlopen error timed out>\n", "unjudged"),
        ("pip install no || true", "", "ERROR: No matching distribution found for no\n", "passed"),
        ("python x.py | head -1", "1\n", f"{TRACE}BrokenPipeError: [Errno 32] Broken pipe\n", "passed"),
        ("python x.py | tee log", f"{TRACE}ValueError: told, and gone on\n2\n", "", "passed"),
        ('python -c "import a; print(1)"', f"{TRACE}ValueError: printed alone\n", "", "passed"),
    ],
)
def test_what_the_end_of_a_command_hides_is_found(command: str, printed: str, stderr: str, outcome: str) -> None:
    kind = "install" if command.startswith("pip") else "program"
    step = Step(line=1, kind=kind, form="shell", text=command)
    ended = Ended(exit_code=0, stdout=printed, stderr=stderr, seconds=1.0)
    found = judged(step, ended, printed, f"{printed}\n{stderr}".strip(), "guide.md", installs=True)
    assert found.outcome == outcome
