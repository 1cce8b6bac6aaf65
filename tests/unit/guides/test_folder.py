"""Every guide of a folder replayed by one command: one table, one exit code, a report each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.guides.model import Guide
from dlmatrix.guides.read.guide import read_guide
from tests.unit.guides.worlds import PYTHON

Cli = Callable[..., tuple[int, str, str]]
WORKS = "```bash\necho here\n```\n"
BROKEN = "```bash\npython -c 'import math; math.alpha'\n```\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "guides"
    (place / "more").mkdir(parents=True)
    (place / "a.md").write_text(WORKS, encoding="utf-8")
    return place


def replay(cli: Cli, folder: Path) -> tuple[int, str]:
    """The exit code, and the table with what stands below it."""
    report = folder.parent / "r"
    code, out, _ = cli("guides", str(folder), "--no-search", "--python", PYTHON, "--report", str(report))
    return code, out[out.rfind("┏") :]


@pytest.mark.usefixtures("contained")
def test_the_guides_of_a_folder_have_one_table_and_one_exit_code(tmp_path: Path, folder: Path, cli: Cli) -> None:
    (folder / "notes.txt").write_text("only words\n", encoding="utf-8")
    (folder / ".hidden.md").write_text(BROKEN, encoding="utf-8")
    code, table = replay(cli, folder)
    assert code == 0
    assert [line.split()[1:4:2] for line in table.splitlines() if line.startswith("│")] == [["a.md", "works"]]
    assert (tmp_path / "r" / "a.md" / "report.html").is_file()


@pytest.mark.usefixtures("contained")
def test_one_that_cannot_be_judged_hides_none_that_is_broken(tmp_path: Path, folder: Path, cli: Cli) -> None:
    (folder / "b.ipynb").write_text("{", encoding="utf-8")
    (folder / "more" / "c.rst").write_text("Run::\n\n    $ nvidia-smi\n", encoding="utf-8")
    code, table = replay(cli, folder)
    assert code == 77
    assert "could not look: " in table
    assert "not judged: it needs a GPU" in table
    (tmp_path / "r").rename(tmp_path / "before")
    (folder / "more" / "b.md").write_text(BROKEN, encoding="utf-8")
    code, table = replay(cli, folder)
    assert code == 1
    assert "more/b.md" in table
    assert "broken at line 2" in table
    assert (tmp_path / "r" / "more" / "b.md" / "result.json").is_file()


@pytest.mark.parametrize("name", ["none", "empty", "a.md"])
def test_a_folder_without_a_guide_is_told(tmp_path: Path, folder: Path, cli: Cli, name: str) -> None:
    (folder / "empty").mkdir()
    code, _, err = cli("guides", str(folder / name), "--report", str(tmp_path / "r"))
    assert code == 2
    assert ("no guide in it" if name == "empty" else "no such folder") in err
    assert not (tmp_path / "r").exists()


@pytest.mark.usefixtures("contained")
def test_a_folder_s_guides_are_told_to_programs_and_go_the_way_that_is_named(
    tmp_path: Path, folder: Path, cli: Cli
) -> None:
    (folder / "b.ipynb").write_text("{", encoding="utf-8")
    tabs = f"*   {{Linux}}\n\n    {WORKS}\n*   {{Other}}\n\n    {BROKEN}"
    (folder / "more" / "c.md").write_text(tabs.replace("\n", "\n    ").replace("    *", "*"), encoding="utf-8")
    options = ("--json", "--no-search", "--python", PYTHON, "--report", str(tmp_path / "r"))
    code, out, _ = cli("guides", str(folder), "--branch", "other", *options)
    found = {one["name"]: one for one in json.loads(out)["guides"]}
    assert code == 1
    assert {name: one["verdict"] for name, one in found.items()} == {
        "a.md": "could not look",
        "b.ipynb": "could not look",
        "more/c.md": "broken",
    }
    assert "--branch other: no tab of" in found["a.md"]["words"]
    assert found["more/c.md"]["first_break"]["step"] == BROKEN.splitlines()[1]


@pytest.mark.parametrize("value", [("--engine", "none"), ("--date", "today"), ("--budget", "0"), ("--pip", "x")])
def test_a_folder_s_options_are_those_of_a_replay(cli: Cli, folder: Path, value: tuple[str, str]) -> None:
    code, out, err = cli("guides", str(folder), *value)
    assert (code, out) == (2, "")
    assert f"{value[0]}" in err


@pytest.mark.parametrize(
    "options",
    [["--no-search"], ["--report", "r"], ["--branch", "gpu"], ["--engine", "docker"], ["--date", "2022-05-25"]],
)
def test_what_only_a_replay_has_is_refused_without_a_folder(cli: Cli, options: list[str]) -> None:
    code, _, err = cli("guides", *options)
    assert code == 2
    assert f"{options[0]}: nothing is replayed without a folder" in err


@pytest.mark.usefixtures("contained")
def test_an_interrupt_leaves_what_had_ended(folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "b.md").write_text(WORKS, encoding="utf-8")
    read = read_guide

    def interrupted(file: Path) -> Guide:
        if file.name == "b.md":
            raise KeyboardInterrupt
        return read(file)

    monkeypatch.setattr("dlmatrix.guides.read.guide.read_guide", interrupted)
    code, table = replay(cli, folder)
    assert code == 130
    assert "a.md" in table
    assert "reports: " in table
