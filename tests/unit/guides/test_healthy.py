"""What real healthy guides hold that was once taken for a break: each of these is no fault of a guide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.guides.agree import disagreement
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.judge import judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.replay import verdict
from tests.unit.guides.reading import read
from tests.unit.guides.worlds import outcomes, played

RAISES = """\
```console
>>> two = 2
>>> two
2
>>> two.append(3)
Traceback (most recent call last):
    ...
AttributeError: 'int' object has no attribute 'append'
>>> two + 1
3
```
"""


@pytest.mark.usefixtures("contained")
def test_an_error_that_a_guide_shows_is_none(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, RAISES)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]
    assert [one.step.text for one in replay.played] == ["two = 2\ntwo", "two.append(3)", "two + 1"]
    assert outcomes(replay) == ["passed"] * 3


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("kind", ["block", "cell"])
def test_nor_is_one_of_a_program_or_a_cell(root: Path, tmp_path: Path, index: Path, kind: str) -> None:
    trace = "Traceback (most recent call last):\n  ...\nZeroDivisionError: division by zero\n"
    text = f"```python\nprint(1 // 0)\n```\n\nThe output is:\n\n```\n{trace}```\n\n```python\nprint(2)\n```\n"
    name = "guide.md"
    if kind == "cell":
        error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
        cells = [
            {"cell_type": "code", "source": "1 // 0", "outputs": [error]},
            {"cell_type": "code", "source": "print(2)", "outputs": []},
        ]
        name, text = "guide.ipynb", json.dumps({"metadata": {}, "cells": cells})
    replay, _, _ = played(root, tmp_path, index, text, name)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]


@pytest.mark.usefixtures("contained")
def test_an_error_that_a_guide_does_not_show_is_a_break_in_a_session_too(
    root: Path,
    tmp_path: Path,
    index: Path,
) -> None:
    replay, _, _ = played(root, tmp_path, index, RAISES.replace(">>> two + 1\n3\n", ">>> two + 'a'\n3\n"))
    assert verdict(replay).kind == "broken"
    assert replay.first_break
    assert replay.first_break.step.text == "two + 'a'"


@pytest.mark.parametrize(
    ("promised", "said", "exit_code", "outcome"),
    [
        ("ImportError: cannot import name 'a' from 'b'", "{}ImportError: cannot import name 'a' from 'b'", 1, "passed"),
        ("ImportError: No module named a", "{}ModuleNotFoundError: No module named 'a'", 1, "passed"),
        ("IOError: [Errno 2] no.txt", "{}FileNotFoundError: [Errno 2] no.txt", 1, "passed"),
        ("ValueError: no", "2", 0, "passed"),
        ("ValueError: no", "{}TypeError: no", 1, "failed"),
        ("ValueError: no", "{}TypeError: no", 0, "failed"),
        ("ValueError: no", "{}urllib.error.URLError: <urlopen error timed out>", 1, "unjudged"),
        ("ValueError: no", "", 139, "unjudged"),
    ],
)
def test_a_step_that_is_to_end_in_an_error_ends_in_that_one(
    promised: str, said: str, exit_code: int, outcome: str
) -> None:
    trace = "Traceback (most recent call last):\n"
    step = Step(line=1, kind="program", form="repl", text="a()", expected=f"{trace}  ...\n{promised}")
    said = said.format(trace)
    ended = Ended(exit_code=exit_code, stdout="", stderr=said, seconds=1.0)
    assert judged(step, ended, "", said, "guide.md", installs=True).outcome == outcome


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ('dtype(\'int64\')  # "int" for integer, "64" for 64-bit', "dtype('int64')"),
        ("2\narray([1, 2])", "np.int64(2)\narray([1, 2])"),
        ("True", "np.True_"),
        ("3.5", "np.float64(3.5)"),
        ("array([[1., 1.],\n<BLANKLINE>\n       [1., 1.]])", "array([[1., 1.],\n\n       [1., 1.]])"),
        ("array([[2, 1],\n       [0, 4]])  # may vary", "array([[0, 3],\n       [4, 1]])"),
        ("array([1, 2])", "array([1, 2], dtype=int32)"),
        ("4L", "4"),
        ("[u'a1', u'b']", "['a1', 'b']"),
    ],
)
def test_what_differs_in_form_alone_is_the_same(expected: str, printed: str) -> None:
    assert disagreement(expected, printed) == ""


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("2", "np.int64(3)"), ("[[ 2  8]\n [16 22]]", 'Tensor("MatMul:0", shape=(2, 2), dtype=int32)'), ("True", "False")],
)
def test_what_differs_in_what_it_says_is_not(expected: str, printed: str) -> None:
    assert disagreement(expected, printed)


@pytest.mark.usefixtures("contained")
def test_what_a_program_asks_of_this_moment_promises_nothing(root: Path, tmp_path: Path, index: Path) -> None:
    text = "".join(f">>> {one}\n{said}\n" for one, said in (("id(int)", "4840553424"), ("hash('a')", "12")))
    replay, _, _ = played(root, tmp_path, index, f"```pycon\n{text}```\n")
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]


@pytest.mark.usefixtures("contained")
def test_a_page_that_installs_nothing_is_of_a_package_that_is_there(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, "```python\nimport alpha.more\n```\n")
    assert verdict(replay).words == "not judged: it needs alpha, which the guide does not install"
    installs = "```bash\npip install six\n```\n\n"
    replay, _, _ = played(root, tmp_path, index, installs + "```python\nimport alpha\n```\n")
    assert verdict(replay).kind == "broken"


def test_what_is_typed_at_a_prompt_goes_on_at_the_same_prompt(tmp_path: Path) -> None:
    text = "".join(f"```pycon\n>>> {one}\n```\n\n" for one in ("import os", "import re", "os.path.join(plt.a)"))
    assert [step.session for step in read(tmp_path, "a.md", text).steps] == [1, 1, 1]


def test_myst_s_doctests_are_transcripts(tmp_path: Path) -> None:
    reading = read(tmp_path, "a.md", "# A\n\n```{doctest}\n>>> print(1)\n1\n```\n\n```{testcode}\nimport os\n```\n")
    assert [(step.kind, step.text, step.expected) for step in reading.steps] == [
        ("program", "print(1)", "1"),
        ("program", "import os", None),
    ]


def test_a_program_of_another_file_is_a_hole_and_takes_no_other_s_output(tmp_path: Path) -> None:
    text = (
        "A\n=\n\n.. code-block:: python\n\n    import os\n\nThen\n\n.. literalinclude:: /code/a.py\n   :lines: 1-2\n\n"
        "The output is::\n\n    42\n"
    )
    reading = read(tmp_path, "a.rst", text)
    first, second, *_ = reading.steps
    assert (first.kind, first.expected) == ("program", None)
    assert (second.kind, second.why) == ("hole", "it stands in another file: /code/a.py")


def test_an_excerpt_whose_names_nothing_explains_is_no_program(tmp_path: Path) -> None:
    text = "```python\nfrom os import path\nprint(path.join(my_folder, 'a'))\n```\n\n```python\nprint(np.pi)\n```\n"
    reading = read(tmp_path, "a.md", text)
    assert [step.kind for step in reading.steps] == ["unreadable", "unreadable"]
    assert "my_folder" in reading.steps[0].why
    forgot = read(tmp_path, "b.md", "```python\nfrom os import path\nprint(np.pi)\n```\n")
    assert [step.kind for step in forgot.steps] == ["program"]


@pytest.mark.parametrize("words", ["Python 3.13 and later", "Python 3.10 onwards", "Python 3.11 upwards"])
def test_a_range_names_no_python(tmp_path: Path, words: str) -> None:
    assert read(tmp_path, "a.md", f"# A\n\nOn {words} it works.\n\n```bash\npip install six\n```\n").python == ""


@pytest.mark.usefixtures("contained")
def test_pushd_and_popd_are_carried_over_steps(root: Path, tmp_path: Path, index: Path) -> None:
    text = '```bash\nmkdir -p a/b\npushd a\npushd b\npopd\npopd\necho "$(basename "$PWD")"\n```\n'
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay) == ["passed"] * 6, [(one.step.text, one.reason, one.said) for one in replay.played]
    assert replay.played[-1].said == "home"


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("kind", ["program", "install"])
def test_a_full_disk_and_a_limit_are_no_break(
    root: Path,
    tmp_path: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    text = "```python\nopen('big', 'wb').write(bytes(30_000_000))\n```\n"
    if kind == "install":
        full = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
        text = f"```bash\npip install alpha; echo '{full}' >&2; (exit 1)\n```\n"
    monkeypatch.setattr("dlmatrix.guides.contained.MOST_FILE", 20_000_000)
    replay, _, _ = played(root, tmp_path, index, text)
    assert verdict(replay).words.startswith("not judged: it needs more than this machine lets it have: ")


@pytest.mark.usefixtures("contained")
def test_a_guide_that_asks_for_root_is_not_broken_for_that(root: Path, tmp_path: Path, index: Path) -> None:
    text = "```bash\nsudo mkdir -p /usr/local/share/alpha\nmkdir -p here\n```\n"
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay)[0] == "unjudged"
    assert replay.played[0].reason == "it needs an administrator: it changes the system"
