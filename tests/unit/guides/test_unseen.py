"""What guides hold that no reader knew before: each was lost, made up, or taken for a break."""

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
from dlmatrix.guides.translate import translate
from tests.unit.guides.reading import only, read, said
from tests.unit.guides.worlds import played, wheel


def test_line_numbers_in_a_list_are_no_code(tmp_path: Path) -> None:
    numbers = "<ul class='pre-numbering'><li>1</li><li>2</li></ul>"
    page = f"<article><pre><code class='language-bash'>pip install alpha\ncd alpha\n</code>{numbers}</pre></article>"
    assert said(read(tmp_path, "p.html", page)) == [("install", "pip install alpha"), ("world", "cd alpha")]


OUTPUT_AS_PYTHON = """\
```py
x = torch.ones(2)
print(x)
```
输出:
```py
tensor([1., 1.])
```
```py
print(x.sum().item(), type(x))
```
输出:
```py
2.0 <class 'torch.Tensor'>
```
如果出现错误:
```python
import six.moves.copyreg as copyreg

ImportError: No module named copyreg
```
"""


def test_output_that_is_called_python_is_no_program(tmp_path: Path) -> None:
    reading = read(tmp_path, "t.md", "```py\nimport torch\n```\n" + OUTPUT_AS_PYTHON)
    assert [(step.kind, step.text.split("\n")[0]) for step in reading.steps if step.kind != "output"] == [
        ("program", "import torch"),
        ("program", "x = torch.ones(2)"),
        ("program", "print(x.sum().item(), type(x))"),
    ]
    assert [step.expected for step in only(reading, "program")] == [
        None,
        "tensor([1., 1.])",
        "2.0 <class 'torch.Tensor'>",
    ]
    # A call of a library is a program, whatever it makes.
    assert said(read(tmp_path, "u.md", "```python\nnp.array([1, 2])\nnp.array([1])\n```\n"))


def test_output_that_is_called_shell_is_no_command(tmp_path: Path) -> None:
    shown = "An example output is shown below:\n\n```bash\n- Platform: Linux\n- Python: 3\n```\n"
    text = f"Run:\n\n```bash\npip list\n```\n\n{shown}"
    assert said(read(tmp_path, "o.md", text)) == [("check", "pip list")]


def test_a_value_that_only_a_notebook_shows_is_not_asked_of_a_program(tmp_path: Path) -> None:
    text = "```py\nimport math\nmath.floor(2.5)\n```\n输出:\n```py\n2\n```\n"
    (program,) = only(read(tmp_path, "e.md", text), "program")
    assert program.expected is None


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


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("    if a: print a, b  # both", "    if a: print(a, b)  # both"),
        ("print 'a: %d' % a", "print('a: %d' % a)"),
        ("print(a)", "print(a)"),
    ],
)
def test_print_of_python_2_is_put_in_brackets(line: str, after: str) -> None:
    step = Step(text=line, kind="program", form="program", line=1)
    broken = Played(step=step, outcome="failed", said="SyntaxError: Missing parentheses in call to 'print'")
    cause, find, put = next(candidates(broken))
    edit = edit_of(cause, find, put, broken, [step])
    assert (edit.texts[0] if edit else line) == after


def test_commands_that_lost_their_line_breaks_come_apart(tmp_path: Path) -> None:
    text = (
        "装: ```bash conda create -n pt python=3.8 conda activate pt # 进入 pip install torch -i *** "
        'sudo pip install virtualenv python -m pip install six && python a.py cd alpha python -c "import alpha" ``` 完'
    )
    reading = read(tmp_path, "line.txt", text)
    assert [step.text for step in reading.steps] == [
        "conda create -n pt python=3.8",
        "conda activate pt",
        "pip install torch -i ***",
        "sudo pip install virtualenv",
        "python -m pip install six && python a.py",
        "cd alpha",
        'python -c "import alpha"',
    ]
    assert {step.line for step in reading.steps} == {1}
    assert [repair.what for repair in reading.repairs] == ["line breaks restored"]


CLASS = (
    "```python import torch.nn as nn class Net(nn.Module): classes = 10 def __init__(self): super().__init__() "
    "self.fc = nn.Linear(4, 2) def forward(self, x): # 前向 if x is None: return None x = self.fc(x) return x "
    "def make(n): return [Net() for _ in range(n)] nets = make(2) print(len(nets)) # 输出: torch.Size([2, 2]) "
    "nets.pop() ```"
)
CLASS_AGAIN = """\
import torch.nn as nn
class Net(nn.Module):
    classes = 10
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
    def forward(self, x):
        # 前向
        if x is None:
            return None
        x = self.fc(x)
        return x
def make(n):
    return [Net() for _ in range(n)]
nets = make(2)
print(len(nets))
# 输出: torch.Size([2, 2])
nets.pop()
"""


def test_a_class_on_one_line_has_its_methods_again(tmp_path: Path) -> None:
    (program,) = only(read(tmp_path, "c.md", f"程序 {CLASS} 完\n"), "program")
    assert program.text == CLASS_AGAIN


def test_a_hole_behind_a_name_belongs_to_it(tmp_path: Path) -> None:
    text = "看 ```python import tensorflow as tf s = tf.***pat.v1.Session() m = s.make() m.***pile(1) ``` 完\n"
    (program,) = only(read(tmp_path, "h.md", text), "program")
    assert "s = tf.compat.v1.Session()" in program.text
    assert "\nm.compile(1)" in program.text


def test_a_transcript_on_one_line_is_one(tmp_path: Path) -> None:
    text = "```\n$ python3 >>> import alpha >>> print(alpha.two()) 2 >>> s = 'a b' >>> s 'a b'\n```\n"
    (program,) = read(tmp_path, "r.md", text).steps
    assert program.text == "import alpha\nprint(alpha.two())\ns = 'a b'\ns"
    assert program.expected == "2\n'a b'"


def test_a_prompt_that_is_an_angle_bracket(tmp_path: Path) -> None:
    text = ".. code-block:: console\n\n    > pip install alpha\n    > alpha-train \\\n        --fast\n    | loading\n"
    reading = read(tmp_path, "a.rst", text)
    assert said(reading) == [("install", "pip install alpha"), ("unknown", "alpha-train \\\n    --fast")]
    # What a shell writes before a line that goes on is none.
    more = "```bash\n$ cat > a.txt <<EOF\n> pip install beta\n> EOF\n```\n"
    assert not only(read(tmp_path, "b.md", more), "install")


PLAIN = """\
环境
1、创建
$conda create -n lab python=3.11
(lab)$pip install alpha
2、测试
(lab)$python
>>>import alpha
>>>print(alpha.two())
2
3、代码
新建 two.py:
import alpha
print\uff08alpha.two()\uff0c“二”\uff09
运行:
(lab)$ python two.py
打开终端输入pip install beta==1.0
再写
# 三
three = alpha.two() + 1
print(three)
Installation
"""


def test_plain_text_has_its_programs_between_its_words(tmp_path: Path) -> None:
    reading = read(tmp_path, "p.txt", PLAIN)
    assert said(reading) == [
        ("world", "conda create -n lab python=3.11"),
        ("install", "pip install alpha"),
        ("program", "import alpha\nprint(alpha.two())"),
        ("program", 'import alpha\nprint(alpha.two(),"二")'),
        ("program", "python two.py"),
        ("install", "pip install beta==1.0"),
        ("program", "# 三\nthree = alpha.two() + 1\nprint(three)"),
    ]
    assert [step.expected for step in reading.steps if step.expected] == ["2"]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pip install https://example.invalid/tensorflow-0.8.0-cp34-cp34m-linux_x86_64.whl", "get"),
        ("pip install alpha -f https://example.invalid/whl/torch.html", "install"),
        ("pip install --upgrade <$url_to_binary.whl>", "placeholder"),
    ],
)
def test_what_is_fetched_from_another_place_is_no_package(tmp_path: Path, command: str, kind: str) -> None:
    (step,) = read(tmp_path, "w.md", f"```bash\n{command}\n```\n").steps
    assert step.kind == kind


def test_an_earlier_sentence_of_a_gpu_is_not_of_this_command(tmp_path: Path) -> None:
    ways = "```\npip install alpha\n```\n\nor\n\n```\npip3 install alpha\n```\n"
    text = f"Colab has a free GPU. Install it with pip:\n\n{ways}"
    assert said(read(tmp_path, "g.md", text))[0] == ("install", "pip install alpha")


def test_variables_for_a_gpu_are_another_way(tmp_path: Path) -> None:
    text = (
        "```\n# CPU only\n$ export URL=a.whl\n# GPU enabled\n$ export URL=b.whl\n# Mac OS X\n$ export URL=c.whl\n```\n"
    )
    assert [step.kind for step in read(tmp_path, "v.md", text).steps] == ["world", "other branch", "other system"]


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


PIECES = """\
```python
import alpha
one = alpha.two()
```

```python
import beta
two = 2
```

```python
import math
print(one + math.floor(2.5))
```

```python
import math
print(later)
```

```python
later = 3
```
"""


def test_a_piece_goes_on_where_its_names_are_and_is_none_where_they_are_not(tmp_path: Path) -> None:
    steps = read(tmp_path, "s.md", PIECES).steps
    assert [(step.kind, step.session) for step in steps] == [
        ("program", 1),
        ("program", 2),
        ("program", 1),
        ("unreadable", 0),
        ("program", 3),
    ]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("py-xgboost=*=cpu*", "python -m pip install xgboost"),
        ("numpy=1.18.1=py37h1", "python -m pip install numpy==1.18.1"),
    ],
)
def test_a_build_of_conda_is_its_version(asked: str, text: str) -> None:
    assert translate(f"conda install -c conda-forge {asked}", lambda url: True).text == text


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


def test_what_a_guide_installs_may_tell_of_itself(tmp_path: Path) -> None:
    text = "```bash\npip install alpha\nalpha env\nalpha serve\nbeta env\n```\n"
    assert [step.kind for step in read(tmp_path, "t.md", text).steps] == ["install", "check", "unknown", "unknown"]


def test_what_python_2_had_is_no_lost_name(tmp_path: Path) -> None:
    (step,) = read(tmp_path, "x.md", "```python\nimport math\nfor n in xrange(3):\n  print n, math.pi\n```\n").steps
    assert step.kind == "program"


def test_what_no_program_can_have_is_changed_in_all_of_them() -> None:
    steps = [Step(text="print 1", kind="program", form="program", line=n, session=n) for n in (1, 2)]
    broken = Played(step=steps[0], outcome="failed", said="SyntaxError: Missing parentheses in call to 'print'")
    edit = edit_of(*next(candidates(broken)), broken, steps)
    assert edit
    assert edit.texts == {0: "print(1)", 1: "print(1)"}
    assert edit.words == "print 1 → print(1)"


@pytest.mark.parametrize(
    ("language", "text", "kinds"),
    [
        ("css", "pip install alpha\ncd alpha", ["install", "world"]),
        ("swift", "import torch\nx = torch.ones(2)", ["program"]),
        ("java", "import java.util.List;\nList x = null;", ["file"]),
        ("yaml", "script:\n  - pip install alpha", ["file"]),
        ("dockerfile", "RUN pip install alpha", ["file"]),
    ],
)
def test_a_language_that_an_editor_guessed(tmp_path: Path, language: str, text: str, kinds: list[str]) -> None:
    assert [step.kind for step in read(tmp_path, "l.md", f"```{language}\n{text}\n```\n").steps] == kinds


FLAT = """\
```python
import tensorflow as tf
a = tf.constant(2)
with tf.compat.v1.Session() as sess:
r = sess.run(a)
print(r)
def add(x,
y):
z = x + y
return z
print(add(1, 2))
```
"""
DEEP = """\
import tensorflow as tf
a = tf.constant(2)
with tf.compat.v1.Session() as sess:
    r = sess.run(a)
print(r)
def add(x, y):
    z = x + y
    return z
print(add(1, 2))
"""


def test_indentation_that_was_lost_comes_back(tmp_path: Path) -> None:
    reading = read(tmp_path, "f.md", FLAT)
    assert [step.text for step in only(reading, "program")] == [DEEP]
    assert [repair.what for repair in reading.repairs] == ["indentation restored"]


def test_signs_that_a_page_wrote_as_names(tmp_path: Path) -> None:
    text = (
        "```\n&gt;&gt;&gt; import alpha\n&gt;&gt;&gt; alpha.two()\n2\n```\n\n"
        "```python\nimport alpha\nprint(&quot;a&quot;)\n```\n\n```bash\npip install &quot;alpha&gt;=1&quot;\n```\n"
    )
    assert said(read(tmp_path, "e.md", text)) == [
        ("program", "import alpha\nalpha.two()"),
        ("program", 'import alpha\nprint("a")'),
        ("install", 'pip install "alpha>=1"'),
    ]


def test_a_notebook_s_magic_in_a_page_is_none_of_its_program(tmp_path: Path) -> None:
    text = "```python\n%matplotlib inline\n!pip install alpha\nimport alpha\nalpha.two()\n```\n"
    assert said(read(tmp_path, "m.md", text)) == [
        ("install", "pip install alpha"),
        ("program", "\n\nimport alpha\nalpha.two()"),
    ]


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


FROM_SOURCE = """\
```bash
pip install alpha-beta
pip install git+https://host.invalid/some/alpha_beta.git@main
```

Or from source:

```bash
git clone https://host.invalid/some/alpha-beta
cd alpha-beta
pip install -e '.[dev]'
```

```bash
git clone https://host.invalid/some/other.git
cd other
pip install -e .
```
"""


def test_what_has_a_name_on_the_index_is_not_also_fetched(tmp_path: Path) -> None:
    assert [step.kind for step in read(tmp_path, "s.md", FROM_SOURCE).steps] == [
        *("install", "other branch"),
        *("other branch", "other branch", "other branch"),
        *("get", "world", "install"),
    ]


def test_a_variable_at_the_beginning_of_a_line_is_no_prompt(tmp_path: Path) -> None:
    text = "```console\n> pip install alpha\n> python -m alpha \\\n    $(which alpha-train) data\n```\n"
    assert said(read(tmp_path, "v.md", text)) == [
        ("install", "pip install alpha"),
        ("program", "python -m alpha \\\n    $(which alpha-train) data"),
    ]
    home = "```bash\n$HOME/bin/conda --version\n${PYTHON} -m pip install beta\n$pip install alpha\n```\n"
    assert "pip install alpha" in [step.text for step in read(tmp_path, "h.md", home).steps]
    assert not [step for step in read(tmp_path, "h.md", home).steps if step.text.startswith(("HOME", "{"))]


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
