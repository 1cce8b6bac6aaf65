"""What guides hold that no reader knew before: each was lost, made up, or taken for something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlmatrix.guides.translate import translate
from tests.unit.guides.reading import only, read, said


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


def test_what_a_guide_installs_may_tell_of_itself(tmp_path: Path) -> None:
    text = "```bash\npip install alpha\nalpha env\nalpha serve\nbeta env\n```\n"
    assert [step.kind for step in read(tmp_path, "t.md", text).steps] == ["install", "check", "unknown", "unknown"]


def test_what_python_2_had_is_no_lost_name(tmp_path: Path) -> None:
    (step,) = read(tmp_path, "x.md", "```python\nimport math\nfor n in xrange(3):\n  print n, math.pi\n```\n").steps
    assert step.kind == "program"


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


def test_a_notebook_s_magic_in_a_page_is_none_of_its_program(tmp_path: Path) -> None:
    text = "```python\n%matplotlib inline\n!pip install alpha\nimport alpha\nalpha.two()\n```\n"
    assert said(read(tmp_path, "m.md", text)) == [
        ("install", "pip install alpha"),
        ("program", "\n\nimport alpha\nalpha.two()"),
    ]


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
