"""Blocks that lost line breaks, indentation, names or signs: what can be known of them comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.guides.edits import candidates, edit_of
from dlmatrix.guides.judge import Played
from dlmatrix.guides.model import Step
from tests.unit.guides.reading import only, read, said


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
