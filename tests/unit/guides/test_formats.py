"""Guides of every format read: no command is lost, each has its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.errors import UsageError
from dlmatrix.guides.model import Guide
from dlmatrix.guides.read.decode import MOST_BYTES
from dlmatrix.guides.read.guide import read_guide
from tests.unit.guides.reading import only, read, said

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


def test_a_notebook_of_format_3_has_its_cells_in_sheets(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "input": ["!pip install alpha\n", "print(1)"], "outputs": []}
    text = json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [cell]}]})
    assert [kind for kind, _ in said(read(tmp_path, "old.ipynb", text))] == ["install", "program"]
    for none in ('{"worksheets": 1, "cells": []}', '{"worksheets": [{"cells": 1}]}', '["cells"]'):
        with pytest.raises(UsageError, match="not a notebook"):
            read(tmp_path, "none.ipynb", none)


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
