"""Guides of every format read, repaired and understood: commands are never lost, and none is invented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.__main__ import main
from dlmatrix.errors import UsageError
from dlmatrix.guides.model import Guide, Step
from dlmatrix.guides.read.decode import MOST_BYTES
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.steps import Reading, read_steps


def read(folder: Path, name: str, text: str, branch: str = "cpu", encoding: str = "utf-8") -> Reading:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return read_steps(read_guide(file), branch)


def said(reading: Reading) -> list[tuple[str, str]]:
    return [(step.kind, step.text) for step in reading.steps if step.kind not in ("output", "file")]


def only(reading: Reading, kind: str) -> list[Step]:
    return [step for step in reading.steps if step.kind == kind]


MARKDOWN = """\
# Set up

Install it:

```bash
$ pip install alpha==1.0   # the library
Successfully installed alpha-1.0
$ export MODE=fast
```

Check that it works:

```python
import alpha
print(alpha.sum([1, 2]))
```

The output should be:

```
3
```
"""


def test_markdown_has_its_commands_with_lines_and_what_they_print(tmp_path: Path) -> None:
    reading = read(tmp_path, "guide.md", MARKDOWN)
    assert said(reading) == [
        ("install", "pip install alpha==1.0"),
        ("world", "export MODE=fast"),
        ("program", "import alpha\nprint(alpha.sum([1, 2]))"),
    ]
    install, _, program = [step for step in reading.steps if step.kind != "output"]
    assert (install.line, install.expected) == (6, "Successfully installed alpha-1.0\n")
    assert (program.line, program.expected) == (14, "3")


TABS = """\
# Install

*   {macOS}

    ```bash
    brew install python
    ```

*   {CPU}

    ```bash
    python3 -m pip install alpha
    ```

*   {Linux GPU}

        Words that are set four deeper, and that CommonMark takes for code.

    ```bash
    python3 -m pip install alpha[and-cuda]
    ```

## Afterwards

```bash
python3 -c "import alpha"
```
"""


def test_fences_under_tabs_are_all_found_and_one_tab_is_gone_through(tmp_path: Path) -> None:
    reading = read(tmp_path, "guide.md", TABS)
    assert said(reading) == [
        ("other system", "brew install python"),
        ("install", "python3 -m pip install alpha"),
        ("other branch", "python3 -m pip install alpha[and-cuda]"),
        ("check", 'python3 -c "import alpha"'),
    ]
    assert said(read(tmp_path, "guide.md", TABS, branch="gpu"))[1:3] == [
        ("other branch", "python3 -m pip install alpha"),
        ("install", "python3 -m pip install alpha[and-cuda]"),
    ]


MYST = """\
# Install

::::{tab-set}
:::{tab-item} conda
```{code-block} shell
conda install alpha
```
:::
:::{tab-item} pip
```{code-block} shell
:linenos:
pip install alpha
```
:::
::::

```{note}
Then run
    $ alpha-like --version
and `pip install beta`.
```
"""


def test_myst_directives_hold_markdown(tmp_path: Path) -> None:
    found = said(read(tmp_path, "guide.md", MYST))
    assert ("install", "pip install alpha") in found
    assert ("other branch", "conda install alpha") in found
    assert ("mention", "pip install beta") in found


RST = """\
安装
====

::

    conda create --name quick python=3.8     # 环境的名字
    conda activate quick

.. tip::

    常用命令一览:

    ::

        pip install [package-name]==X.X

.. tabs::

    .. tab:: Windows

        .. code-block:: default

            py -3 -m pip install alpha

    .. tab:: Linux

        .. code-block:: default

            pip install alpha

.. code-block:: python

    import alpha
    print(alpha.two())

如果输出::

    2

说明安装成功。
"""


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_restructured_text_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    reading = read(tmp_path, "guide.rst", RST, encoding=encoding)
    assert said(reading) == [
        ("world", "conda create --name quick python=3.8"),
        ("world", "conda activate quick"),
        ("synopsis", "pip install [package-name]==X.X"),
        ("other system", "py -3 -m pip install alpha"),
        ("install", "pip install alpha"),
        ("program", "import alpha\nprint(alpha.two())"),
    ]
    assert (reading.python, only(reading, "program")[0].expected) == ("3.8", "2")


HTML = """\
<!doctype html><html><head><script>pip install fromscript</script></head><body>
<nav><pre>pip install menu</pre></nav>
<article><h1>Install</h1><p>Run this, which takes long enough for a page to have an article of its own:</p>
<div class="highlight-bash"><table><tr><td class="gutter"><pre>1
2</pre></td><td><pre><span>pip</span> install alpha<br>python -c "print(1 &lt; 2)"</pre></td></tr></table></div>
<p>It prints</p><pre>True</pre>
<p>Never <code>pip install gamma</code> instead.</p>
</article><footer><code>pip install footer</code></footer></body></html>
"""


def test_a_saved_page_is_its_article(tmp_path: Path) -> None:
    reading = read(tmp_path, "saved.html", HTML)
    assert said(reading) == [
        ("install", "pip install alpha"),
        ("check", 'python -c "print(1 < 2)"'),
        ("mention", "pip install gamma"),
    ]
    assert only(reading, "check")[0].expected == "True"


def test_a_notebook_is_one_program_and_its_magics_are_shell(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Start\n", "`pip install named`"]},
        {"cell_type": "code", "source": ["!pip install -q alpha\n", "import alpha"], "outputs": []},
        {"cell_type": "code", "source": "alpha.two()", "outputs": [{"data": {"text/plain": ["2"]}}]},
    ]
    reading = read(tmp_path, "book.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    assert said(reading)[1:] == [
        ("install", "pip install -q alpha"),
        ("program", "\nimport alpha"),
        ("program", "alpha.two()"),
    ]
    assert [step.session for step in only(reading, "program")] == [1, 1]
    assert only(reading, "program")[1].expected == "2"


PLAIN = """\
How to install it

First make a folder and go there.
mkdir work
cd work
pip install alpha

Find the file that the installer left, and run the program:

import alpha
print(alpha.two())
"""


def test_plain_text_has_commands_and_programs_between_its_words(tmp_path: Path) -> None:
    assert said(read(tmp_path, "notes.txt", PLAIN)) == [
        ("world", "mkdir work"),
        ("world", "cd work"),
        ("install", "pip install alpha"),
        ("program", "import alpha\nprint(alpha.two())"),
    ]


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


def test_the_reader_of_a_page_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "big.md").touch()
    with (tmp_path / "big.md").open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    (tmp_path / "picture.md").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "broken.ipynb").write_text('{"cells": [', encoding="utf-8")
    for name, word in (
        ("none.md", "no such file"),
        ("big.md", "larger"),
        ("picture.md", "binary"),
        ("broken.ipynb", "notebook"),
    ):
        with pytest.raises(UsageError, match=word):
            read_guide(tmp_path / name)


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


def test_a_notebook_of_format_3_has_its_cells_in_sheets(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": ["!pip install alpha\n", "print(1)"], "outputs": []}
    text = json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [cell]}]})
    assert [kind for kind, _ in said(read(tmp_path, "old.ipynb", text))] == ["install", "program"]
    for none in ('{"worksheets": 1, "cells": []}', '{"worksheets": [{"cells": 1}]}', '["cells"]'):
        with pytest.raises(UsageError, match="not a notebook"):
            read(tmp_path, "none.ipynb", none)


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


@pytest.mark.parametrize("after", ["```bash\nalpha-check --version\n```", "Then run\n\n    alpha-check --version"])
@pytest.mark.parametrize("tab", ["*   {%s}", '=== "%s"'])
def test_what_stands_behind_a_list_of_tabs_is_in_none_of_them(tmp_path: Path, tab: str, after: str) -> None:
    tabs = "".join(
        f"{tab % name}\n\n    Words about it\nthat go on.\n\n    ```bash\n    pip install {name}\n    ```\n\n"
        for name in ("alpha", "beta")
    )
    block, *_, last = read_guide_of(tmp_path, f"# Install\n\n{tabs}{after}\n").blocks
    assert (block.path, last.path) == (("Install", "{alpha}"), ("Install",))


def test_tabs_whose_content_a_copy_has_moved_to_the_left_stay_tabs(tmp_path: Path) -> None:
    text = (
        "# Install\n\n*   {alpha}\n\n```bash\npip install alpha\n```\n\n*   {beta}\n\n```bash\npip install beta\n```\n"
    )
    assert [one.path[1:] for one in read_guide_of(tmp_path, text).blocks] == [("{alpha}",), ("{beta}",)]


def read_guide_of(folder: Path, text: str) -> Guide:
    (folder / "guide.md").write_text(text, encoding="utf-8")
    return read_guide(folder / "guide.md")
