"""Guides of every format read, repaired and understood: commands are never lost, and none is invented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.__main__ import main
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.steps import read_steps
from tests.unit.guides.reading import only, read, said

DAMAGED = (
    "速记\n\n装好: ```bash pip install alpha ``` "
    "有显卡的读者改用: ```bash pip install beta==*** ``` 程序: "
    "```python import alpha as al # 两个数 x = al.number(6) y = al.number(7) # 打开 (会话) with al.open() as box: "
    "z = box.run(x, y) print(z) ``` 再看 ```python import keras net = keras.Sequential([ keras.layers.Dense(3) ]) "
    "# 编译 ***pile(optimizer='sgd') net.summary() ``` 完\n"
)


def test_lost_line_breaks_and_holes_come_back(tmp_path: Path) -> None:
    reading = read(tmp_path, "blog.txt", DAMAGED)
    first, second = only(reading, "program")
    assert first.text == (
        "import alpha as al\n# 两个数\nx = al.number(6)\ny = al.number(7)\n# 打开 (会话)\n"
        "with al.open() as box:\n    z = box.run(x, y)\nprint(z)\n"
    )
    assert "net.compile(optimizer='sgd')" in second.text.splitlines()
    assert [repair.what for repair in reading.repairs] == [
        "line breaks restored",
        "a hole filled",
        "line breaks restored",
    ]
    # What nobody can know stays a hole.
    assert [step.text for step in only(reading, "hole")] == ["pip install beta==***"]


TRANSCRIPT = """\
```bash
(lab) lin@desk:~$ python
>>> import alpha
>>> alpha.two()
2
>>> for n in range(2):
...     print(n)
...
0
1
(lab) lin@desk:~$ rm -rf ~/alpha
```
"""


def test_a_transcript_is_shell_and_python(tmp_path: Path) -> None:
    reading = read(tmp_path, "t.md", TRANSCRIPT)
    assert said(reading) == [
        ("program", "import alpha\nalpha.two()\nfor n in range(2):\n    print(n)\n"),
        ("destructive", "rm -rf ~/alpha"),
    ]
    assert only(reading, "program")[0].expected == "2\n0\n1"


ANSWERED = """\
```
python -c "import alpha; print(alpha.__version__)"
>>> 2.3.0

nvcc --version
>>> 11.8

echo $PATH
>>> /usr/local/bin:...

export DEEP=1
```
"""


def test_what_a_page_shows_behind_a_python_prompt_below_a_command_is_what_it_printed(tmp_path: Path) -> None:
    assert [text for _, text in said(read(tmp_path, "t.md", ANSWERED))] == [
        'python -c "import alpha; print(alpha.__version__)"',
        "nvcc --version",
        "echo $PATH",
        "export DEEP=1",
    ]


@pytest.mark.parametrize("typed", ["alpha.two()", "for n in alpha.all():", "beta = ("])
@pytest.mark.parametrize("command", ["pip install alpha", "python3", "docker run alpha python"])
def test_what_is_typed_there_is_not(tmp_path: Path, command: str, typed: str) -> None:
    reading = read(tmp_path, "t.md", f"```\n{command}\n>>> {typed}\n```\n")
    assert [step.text for step in reading.steps if step.form == "repl"] == [typed]


@pytest.mark.parametrize("value", ["3", "True", "'a'"])
def test_a_value_is_typed_where_the_command_starts_python(tmp_path: Path, value: str) -> None:
    reading = read(tmp_path, "t.md", f"```\n$ python3\n>>> {value}\n{value}\n```\n")
    assert [(step.form, step.text, step.expected) for step in reading.steps] == [("repl", value, value)]


def test_a_tpu_is_nothing_for_a_reader_without_one(tmp_path: Path) -> None:
    ways = [("CPU", "alpha"), ("GPU (CUDA)", "'alpha[cuda]'"), ("TPU (Cloud)", "'alpha[tpu]'")]
    text = "\n".join(f"* **{way}**\n  ```\n  pip install {what}\n  ```\n" for way, what in ways)
    assert [kind for kind, _ in said(read(tmp_path, "t.md", text))] == ["install", "other branch", "other branch"]


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pip install 'alpha[extra]>=1'", "install"),
        ("pip3 install -U pip", "install"),
        ("python -m pip install -r requirements.txt", "install"),
        ("conda install -c conda-forge alpha", "install"),
        ("sudo apt-get install -y python3-dev", "system"),
        ("curl -fsSL https://example.invalid/get.sh | sudo sh", "destructive"),
        ("sh <(curl https://example.invalid/get.sh)", "destructive"),
        ("sudo shutdown -r now", "destructive"),
        ("sudo apt purge 'nvidia*'", "destructive"),
        ("wget https://example.invalid/data.zip", "get"),
        ("git clone https://example.invalid/alpha.git", "get"),
        ("pip install git+https://example.invalid/alpha.git", "get"),
        ("docker run --gpus all -it alpha bash", "docker"),
        ("nvidia-smi", "gpu"),
        ("jupyter notebook", "interactive"),
        ("vim ~/.bashrc", "interactive"),
        ("cp -r tools <PATH>/models", "placeholder"),
        ("python train.py --data /path/to/data", "placeholder"),
        ("pip install alpha==***", "hole"),
        ("pip install --index-url *** alpha", "install"),
        ("docker run [-it] [--rm] alpha[:tag] [command]", "synopsis"),
        ("brew install alpha", "other system"),
        (".\\venv\\Scripts\\activate", "other system"),
        ("source venv/bin/activate.fish", "other system"),
        ("pip uninstall alpha", "remove"),
        ("source venv/bin/activate", "world"),
        ("export PATH=/opt/x${PATH:+:${PATH}}", "world"),
        ("python train.py", "program"),
        ("python -V", "check"),
        ("env | grep CUDA", "check"),
        ("env MODE=fast pip install alpha", "install"),
        ("easy_install alpha", "install"),
        ("MD build", "other system"),
        ("CD ..\\python", "other system"),
        ("msbuild alpha.sln /m", "other system"),
        ("git --version", "check"),
        ("wget --version", "check"),
        ("git submodule update --init", "get"),
        ("curl -LO https://example.invalid/data.zip", "get"),
        ("unzip data.zip", "world"),
        ("apt list --installed", "system"),
    ],
)
def test_what_a_command_is_for(tmp_path: Path, command: str, kind: str) -> None:
    assert said(read(tmp_path, "one.md", f"# One\n\n```bash\n{command}\n```\n")) == [(kind, command)]


@pytest.mark.parametrize("label", ["text", "json", "yaml", ""])
def test_what_is_no_command_makes_none(tmp_path: Path, label: str) -> None:
    block = f"```{label}\nname: alpha\nloss 0.5 of the run\n```"
    text = f"# Page\n\nIt prints this:\n\n{block}\n\nMake sure that `alpha` is there.\n"
    assert said(read(tmp_path, "page.md", text)) == []


def test_continued_lines_quotes_and_heredocs_are_one_command(tmp_path: Path) -> None:
    body = "pip install alpha \\\n    beta\npython -c \"\nprint('two lines')\n\"\ncat > a.py <<END\nimport alpha\nEND"
    reading = read(tmp_path, "long.md", f"```bash\n{body}\n```\n")
    assert [step.text.count("\n") for step in reading.steps] == [1, 2, 2]
    assert [step.line for step in reading.steps] == [2, 4, 7]


def test_a_page_without_a_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text("# Only\n\nwords\n", encoding="utf-8")
    assert main(["replay", "--steps", str(tmp_path / "page.md")]) == 0
    assert "nothing in it is a command or a program" in capsys.readouterr().out


def test_a_guide_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_text("```bash\npip install \x1b[31malpha\x07\n```\n", encoding="utf-8")
    main(["replay", "--steps", str(tmp_path / "page.md")])
    assert "\x1b" not in capsys.readouterr().out


def test_what_is_for_programs_is_json_whatever_blanks_a_page_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("```bash\npip install\xa0alpha #\u3000\x9b\n```\n", encoding="utf-8")
    main(["replay", "--steps", "--json", str(tmp_path / "page.md")])
    assert "\xa0alpha" in json.loads(capsys.readouterr().out)["steps"][0]["text"]
    main(["replay", "--steps", str(tmp_path / "page.md")])
    assert "install\xa0alpha" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "promised"),
    [
        ("print(tf.__version__)  # 2.x", None),
        ("print(torch.__version__)\n# 2", None),
        ("print(model)  # has 2 layers", None),
        ("print(gpus)  # [] on a CPU", None),
        ("print(two())\n# 2", "2"),
        ("print(a)\n# print(2)", None),
        ("print(a)\n# two(3)", None),
        ("print(a)\n# prints 3", "3"),
        ("print(x.shape)  # torch.Size([2, 3])", "torch.Size([2, 3])"),
        ("print(a)  # output: a is 3", "a is 3"),
    ],
)
def test_a_remark_behind_a_print_is_no_output(tmp_path: Path, program: str, promised: str | None) -> None:
    text = f"```python\nimport torch as tf\ngpus = model = x = a = two = torch = tf\n{program}\n```\n"
    steps = read(tmp_path, "guide.md", text).steps
    assert [step.expected for step in steps] == [promised]


def test_the_guides_that_ci_replays_are_understood(root: Path) -> None:
    healthy, renamed = (
        [(step.kind, step.line) for step in read_steps(read_guide(root / "tests" / "guides" / name)).steps]
        for name in ("healthy-zh.rst", "renamed-en.md")
    )
    assert healthy == [
        ("world", 13), ("world", 14), ("install", 15), ("mention", 17), ("program", 24), ("output", 32),
        ("program", 37), ("program", 40), ("gpu", 45),
    ]  # fmt: skip
    assert renamed == [("install", 6), ("program", 12), ("output", 22), ("destructive", 25)]


GLUED = """\
```pythonimport alpha as al
two = al.two()
print(two)```
Then:
```pythonimporttorch
print(torch.ones(2))
```
```bash
pip install beta```
```pip install gamma
```
"""


def test_a_language_and_a_fence_that_are_glued_to_a_program_end_it_where_it_ends(tmp_path: Path) -> None:
    reading = read(tmp_path, "glued.md", GLUED)
    assert said(reading) == [
        ("program", "import alpha as al\ntwo = al.two()\nprint(two)"),
        ("program", "import torch\nprint(torch.ones(2))"),
        ("install", "pip install beta"),
    ]
    assert [step.line for step in reading.steps][:3] == [1, 5, 9]


def test_backticks_at_the_end_of_a_line_of_a_program_end_no_fence(tmp_path: Path) -> None:
    program = 'text = """\n```\nalpha```\n"""\nprint(len(text))'
    assert said(read(tmp_path, "t.md", f"````python\n{program}\n````\n")) == [("program", program)]
    program = "# as in alpha```\nprint(2)"
    assert said(read(tmp_path, "t.md", f"```python\n{program}\n```\n\nMore.\n")) == [("program", program)]


@pytest.mark.parametrize("shown", ["torch.Size([2, 3])\ntorch.Size([2, 2])", "tensor([[1., 2.]])", "3\n[1, 2]"])
def test_values_in_a_block_of_their_own_are_what_was_printed(tmp_path: Path, shown: str) -> None:
    text = f"```python\nimport alpha\nprint(alpha.two())\n```\n\nThe output is:\n\n```\n{shown}\n```\n"
    reading = read(tmp_path, "t.md", text)
    assert said(reading) == [("program", "import alpha\nprint(alpha.two())")]
    assert reading.steps[0].expected == shown


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("from box.layers.torch import Fold, Cut\nfrom box.layers.flax import Cut, Fold\n", "other branch"),
        ("# yours\nfrom box.layers.torch import Fold\nfrom box.layers.keras import Fold\n", "other branch"),
        ("from box.layers.torch import Fold\nfrom box.layers.torch import Cut\n", "program"),
        ("from tensorflow.keras.layers import Dense\nfrom keras.layers import Dense\n", "program"),
        ("from box.layers.torch import Fold\nfrom box.layers.flax import Fold\nprint(Fold)\n", "program"),
        (
            "from box.layers.torch import Fold\nfrom box.layers.flax import Fold\nfrom box.x.a import Cut\n",
            "program",
        ),
        ("from torch import nn\nfrom flax import nn\n", "program"),
    ],
)
def test_a_list_of_siblings_to_import_from_is_a_choice(tmp_path: Path, program: str, kind: str) -> None:
    """einops' README lists its layers for four frameworks, and it installs none of them."""
    reading = read(tmp_path, "t.md", f"Layers have the same names:\n\n```python\n{program}```\n")
    assert [step.kind for step in reading.steps] == [kind]
