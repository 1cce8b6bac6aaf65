"""What guides hold that was taken for a break, or whose change was not found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.guides.contained import Ended
from dlmatrix.guides.edits import candidates, edit_of
from dlmatrix.guides.judge import Played, judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import verdict, with_implied
from dlmatrix.guides.steps import read_steps
from tests.unit.guides.reading import only, read
from tests.unit.guides.worlds import played, wheel


def _notebook(*cells: tuple[str, str]) -> str:
    made = [
        {
            "cell_type": "code",
            "source": source,
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": out}}] if out else [],
        }
        for source, out in cells
    ]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": made})


def test_what_was_drawn_is_never_held_against_a_guide(tmp_path: Path) -> None:
    cells = (
        ("import torch as t\na = t.randn(2)", ""),
        ("a > 0", "tensor([True, False])"),
        ("b = a.int()\nc = t.zeros(2)", ""),
        ("b", "tensor([1, 0])"),
        ("c.add_(b)\nc", "tensor([1, 0])"),
        ("a = t.arange(2)\na", "tensor([0, 1])"),
        ("c = t.zeros(2).long()\nfor n in range(2):\n    c[n] = b[n]", ""),
        ("c", "tensor([1, 0])"),
        ("c.data_ptr(), t.Tensor(2)", "(94880, tensor([0, 0]))"),
        ("a + 1", "tensor([1, 2])"),
    )
    steps = only(read(tmp_path, "n.ipynb", _notebook(*cells)), "program")
    assert [step.varies for step in steps if step.expected] == [True, True, True, False, True, True, False]
    ended = Ended(exit_code=0, stdout="", stderr="", seconds=0)
    assert judged(steps[1], ended, "tensor([False, True])", "", "n.ipynb", True).outcome == "passed"
    assert judged(steps[9], ended, "tensor([7, 7])", "", "n.ipynb", True).outcome == "failed"


PYTHON_2 = """\
```python
import alpha
result = alpha.two()
print result
# ==> 2
```
"""


def test_a_program_of_python_2_is_one_and_is_mended_by_what_its_error_says(tmp_path: Path) -> None:
    (step,) = read(tmp_path, "two.md", PYTHON_2).steps
    assert (step.kind, step.expected) == ("program", "2")
    broken = Played(step=step, outcome="failed", said="SyntaxError: Missing parentheses in call to 'print'. Did you …?")
    cause, find, put = next(candidates(broken))
    edit = edit_of(cause, find, put, broken, [step])
    assert edit
    assert edit.texts == {0: step.text.replace("print result", "print(result)")}
    assert edit.words == "print result → print(result)"


README = """\
# Alpha

```python
import alpha
```

```python
alpha.two()
```

## Installation

```bash
pip install alpha
```

```python
import alpha
```
"""


def test_a_page_that_installs_below_its_programs_is_read_that_way(tmp_path: Path) -> None:
    (tmp_path / "r.md").write_text(README)
    guide = read_guide(tmp_path / "r.md")
    assert [step.line for step in with_implied(guide, read_steps(guide))] == [14, 4, 8, 18]


@pytest.mark.usefixtures("contained")
def test_such_a_page_works(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, README)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]


@pytest.mark.usefixtures("contained")
def test_what_only_conda_has_breaks_no_guide(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, "```bash\nconda install -c conda-forge gamma\n```\n")
    assert replay.played[0].outcome == "unjudged"
    assert replay.played[0].reason.startswith("it needs conda's own channels: ")
    assert verdict(replay).kind == "not judged"


@pytest.mark.parametrize(
    ("said_", "before", "after"),
    [
        ("ValueError: Argument(s) not recognized: {'decay': 1e-06}", "SGD(0.1, decay=1e-6, m=1)", "SGD(0.1, m=1)"),
        (
            "ModuleNotFoundError: No module named 'keras.layers.core'",
            "from keras.layers.core import Dense",
            "from keras.layers import Dense",
        ),
        ("'Sequential' object has no attribute 'fit_generator'", "m.fit_generator(g)", "m.fit(g)"),
        (
            "ModuleNotFoundError: No module named 'sklearn.cross_validation'",
            "from sklearn.cross_validation import train_test_split",
            "from sklearn.model_selection import train_test_split",
        ),
        (
            "ImportError: cannot import name 'joblib' from 'sklearn.externals' (x.py)",
            "from sklearn.externals import joblib",
            "import joblib",
        ),
        (
            "AttributeError: module 'torchvision.transforms' has no attribute 'Scale'",
            "transforms.Scale(224)",
            "transforms.Resize(224)",
        ),
        ("NameError: name 'xrange' is not defined", "for n in xrange(3): n", "for n in range(3): n"),
        ("AttributeError: module 'tensorflow' has no attribute 'mul'", "c = tf.mul(a, b)", "c = tf.multiply(a, b)"),
    ],
)
def test_what_an_old_program_calls_otherwise(said_: str, before: str, after: str) -> None:
    step = Step(text=before, kind="program", form="program", line=1)
    broken = Played(step=step, outcome="failed", said=said_)
    edits = [edit_of(*row, broken, [step]) for row in candidates(broken)]
    assert next(edit.texts[0] for edit in edits if edit) == after


SAVED = """\
新建 `two.py`:

```python
import alpha
print(alpha.two())
```

再看:

```python
import alpha
```

```bash
python two.py
```

输出:

```
2
```

```bash
python other.py
```
"""


@pytest.mark.usefixtures("contained")
def test_a_program_that_is_saved_is_run_by_its_name(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, "```bash\npip install alpha\n```\n" + SAVED)
    assert [(one.step.file, one.outcome) for one in replay.played if one.step.kind == "program"] == [
        ("two.py", "passed"),
        ("", "passed"),
        ("", "passed"),
        ("", "unjudged"),
    ]
    assert [one.said.strip() for one in replay.played if one.step.text == "python two.py"] == ["2"]


def test_what_no_program_can_have_is_changed_in_all_of_them() -> None:
    steps = [Step(text="print 1", kind="program", form="program", line=n, session=n) for n in (1, 2)]
    broken = Played(step=steps[0], outcome="failed", said="SyntaxError: Missing parentheses in call to 'print'")
    edit = edit_of(*next(candidates(broken)), broken, steps)
    assert edit
    assert edit.texts == {0: "print(1)", 1: "print(1)"}
    assert edit.words == "print 1 → print(1)"


@pytest.mark.usefixtures("contained")
def test_a_version_that_the_index_has_not_is_no_try(root: Path, tmp_path: Path, index: Path) -> None:
    """TensorFlow 1 has no wheel for a Python of today: to try it costs a whole replay, and tells nothing."""
    old = "raise AttributeError(\"module 'tensorflow' has no attribute 'Session'\")"
    folder = tmp_path / "index"
    wheel(folder, "tensorflow", "2.21.0", f"def Session():\n    {old}\n")
    wheel(folder, "six", "1.17.0", "")
    for one in (tmp_path, folder, *folder.rglob("*")):
        one.chmod(0o755)
    text = "```bash\npip install tensorflow\n```\n```python\nimport tensorflow as tf\ntf.Session()\n```\n"
    _, found, _ = played(root, tmp_path, folder, text)
    assert found
    assert found.tried
    assert not [one.words for one in found.tried if "tensorflow<2" in str(one.edits)]


def test_who_writes_of_keras_alone_has_a_backend(tmp_path: Path) -> None:
    (tmp_path / "k.md").write_text("```python\nfrom keras.models import Sequential\n```\n")
    guide = read_guide(tmp_path / "k.md")
    assert with_implied(guide, read_steps(guide))[0].text == "pip install keras tensorflow"
    (tmp_path / "j.md").write_text("```python\nimport keras\nimport jax\n```\n")
    guide = read_guide(tmp_path / "j.md")
    assert "tensorflow" not in with_implied(guide, read_steps(guide))[0].text


@pytest.mark.usefixtures("contained")
def test_a_change_that_comes_beyond_the_break_in_the_same_program_mends_it(
    root: Path, tmp_path: Path, index: Path
) -> None:
    program = "import beta\nimport six\nraise OSError('urlopen error: no such host')\n"
    text = f"```bash\npip install beta\n```\n```python\n{program}```\n"
    replay, found, _ = played(root, tmp_path, index, text)
    assert replay.first_break
    assert replay.first_break.line == 6
    assert found
    assert [edit.words for edit in found.found or ()] == ["also six"]


@pytest.mark.usefixtures("contained")
def test_a_change_of_a_saved_program_is_one_of_its_file(root: Path, tmp_path: Path, index: Path) -> None:
    program = "```python\nimport sys\nfor n in xrange(2):\n    print n\n```\n"
    text = f"```bash\npip install alpha\n```\n\n保存为 two.py:\n\n{program}\n```bash\npython two.py\n```\n"
    _, found, _ = played(root, tmp_path, index, text)
    assert found
    assert [edit.words for edit in found.found or ()] == [
        "print n → print(n)",
        "for n in xrange(2): → for n in range(2):",
    ]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("net = Sequential(..., Linear(4, 2))", "unjudged"),
        ("model = ...  # your own\nmodel.fit()", "unjudged"),
        ("net = [Linear(4, 2), ...]", "unjudged"),
        ("y = x[..., 0]\nz: Tuple[int, ...] = f(y)\ndef g(): ...", "failed"),
    ],
)
def test_an_excerpt_that_fails_breaks_no_guide(text: str, outcome: str) -> None:
    step = Step(text=text, kind="program", form="program", line=1)
    ended = Ended(exit_code=1, stdout="", stderr="TypeError: ellipsis is not a Module subclass", seconds=0)
    assert judged(step, ended, "", ended.stderr, "g.md", True).outcome == outcome


@pytest.mark.parametrize(
    ("says", "needs"),
    [
        ("make: *** No rule to make target 'docker-gpu'.  Stop.", "target 'docker-gpu'"),
        ("make: *** No targets specified and no makefile found.  Stop.", "makefile"),
        ('CMake Error: The source directory "/x" does not appear to contain CMakeLists.txt.', "CMakeLists.txt"),
    ],
)
def test_a_file_of_a_repository_that_was_not_fetched_breaks_no_guide(says: str, needs: str) -> None:
    step = Step(text="make docker-gpu", kind="program", line=1)
    one = judged(step, Ended(exit_code=2, stdout="", stderr=says, seconds=0), "", says, "g.md", True)
    assert (one.outcome, one.reason) == ("unjudged", f"it needs {needs}, which the guide does not make")
