"""What a user names that a guide, an index or a machine has not: told by its name, and never gone another way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import uv

from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import DlmatrixError, NetworkError, SkippedEnv, UsageError
from dlmatrix.guides.classify import ONLY_GPU
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import player, verdict, with_implied
from dlmatrix.guides.room import RoomWorld
from dlmatrix.guides.steps import read_steps
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Site
from tests.unit.guides.worlds import PYTHON, outcomes, played, setting

Cli = Callable[..., tuple[int, str, str]]


GUIDE = "```bash\necho here\n```\n"


@pytest.mark.usefixtures("contained")
def test_a_pip_that_the_index_has_not_is_no_fault_of_a_lock(root: Path, tmp_path: Path, index: Path) -> None:
    (tmp_path / "guide.md").write_text(GUIDE, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with player(setting(root, index, []), guide.file.name) as live, pytest.raises(UsageError) as raised:
        live.play(read_steps(guide).steps, PYTHON, "99.9")
    assert raised.value.message == f"--pip: the index has no pip 99.9 for Python {PYTHON}"


def test_a_pip_that_nobody_named_is_no_mistake_of_the_user(
    root: Path,
    tmp_path: Path,
    index: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dlmatrix.guides.play.CONDA_PIP", {PYTHON: "99.8"})
    (tmp_path / "guide.md").write_text("```bash\nconda create -n mine\n```\n", encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with (
        player(setting(root, index, []), guide.file.name) as live,
        pytest.raises(SkippedEnv, match=r"no pip 99\.8 for Python"),
    ):
        live.play(read_steps(guide).steps, PYTHON, "")


def test_an_environment_that_uv_cannot_make_is_no_build_that_failed(
    root: Path, tmp_path: Path, script: Callable[..., Path]
) -> None:
    tool = script("echo 'error: so it is' >&2; exit 2", "uv")
    world = World(
        tmp_path / "world", root=root, site=Site(), pythons=Pythons(site=Site(), uv=uv.find_uv_bin()), say=print
    )
    world._pythons = Pythons(site=Site(), uv=str(tool))
    with pytest.raises(SkippedEnv, match="the guide's environment could not be made: error: so it is"):
        world._uv("venv", "there")


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ("ERROR: Could not find a version … (from versions: 23.0, 24.0)", SkippedEnv, "no pip 99.9 for Python 3.11"),
        ("ERROR: Could not find a version … (from versions: none)", NetworkError, "cannot be reached"),
        ("killed", SkippedEnv, "could not be made: killed"),
    ],
)
def test_a_container_says_the_same_of_a_pip(
    said: str, error: type[DlmatrixError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter(
        [Ended(exit_code=0, stdout="", stderr="", seconds=0), Ended(exit_code=1, stdout="", stderr=said, seconds=0)]
    )
    monkeypatch.setattr(RoomWorld, "_enter", lambda *_: None)
    monkeypatch.setattr(RoomWorld, "_run", lambda *_, **__: next(ends))
    world = object.__new__(RoomWorld)
    world.folder, world.home, world._site = Path("/guide"), Path("/guide/home"), Site()
    with pytest.raises(error, match=words) as raised:
        world._fill_env(Path("/guide/env/base"), "3.11", "99.9")
    assert type(raised.value).exit_code in (7, 77)


@pytest.mark.parametrize("version", ["banana", "../x", ""])
def test_guides_wants_a_version_of_python(cli: Cli, version: str) -> None:
    code, out, err = cli("guides", "--python", version)
    assert (code, out) == (2, "")
    assert f"--python {version}: is no version" in err


def test_where_nothing_was_played_no_pip_is_named(tmp_path: Path, cli: Cli) -> None:
    guide, folder = tmp_path / "guide.md", tmp_path / "r"
    guide.write_text("# Words\n\nnothing to do\n", encoding="utf-8")
    code, out, _ = cli("replay", "--python", PYTHON, "--report", str(folder), str(guide))
    assert code == 77
    assert f"\nPython {PYTHON}\n" in out
    assert f"\nPython {PYTHON}.\n" in (folder / "summary.md").read_text(encoding="utf-8")


TABS = """\
# Install

*   {conda}

    ```bash
    conda install alpha
    ```

*   {pip}

    ```bash
    pip install alpha
    ```
"""


@pytest.mark.parametrize(
    ("text", "branch", "there"),
    [
        (TABS, "quantum", "cpu, gpu, conda or pip"),
        (TABS, "", "cpu, gpu, conda or pip"),
        (GUIDE, "conda", "cpu or gpu"),
        ("# Install it\n\n" + GUIDE, "Install", "cpu or gpu"),
    ],
)
def test_a_branch_that_the_guide_has_not_is_refused_with_those_that_it_has(
    tmp_path: Path, cli: Cli, text: str, branch: str, there: str
) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(text, encoding="utf-8")
    for steps in ([], ["--steps"]):
        code, out, err = cli("replay", *steps, "--branch", branch, "--report", str(tmp_path / "r"), str(guide))
        assert (code, out) == (2, "")
        assert f"--branch {branch}: no tab of" in err
        assert f"next: name one of {there}" in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("branch", ["conda", "CONDA", "CPU", "GPU"])
def test_a_branch_is_known_however_it_is_written(tmp_path: Path, cli: Cli, branch: str) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text(TABS.replace("{pip}", "{pip for a GPU}"), encoding="utf-8")
    code, out, _ = cli("replay", "--steps", "--branch", branch, str(guide))
    assert code == 0
    assert ("other branch  pip install alpha" in out) == (branch != "GPU")


ALONE = """\
# Install

```bash
python -m pip --version
```

*   {Linux GPU}

    ```bash
    pip install alpha
    ```

*   {macOS}

    ```bash
    brew install alpha
    ```

## Afterwards

```python
import alpha
print(alpha.two())
```
"""


@pytest.mark.parametrize("tab", ["Linux GPU", "CUDA 12", "ROCm"])
def test_what_a_tab_for_a_gpu_alone_says_needs_one(tmp_path: Path, tab: str) -> None:
    (tmp_path / "guide.md").write_text(ALONE.replace("Linux GPU", tab), encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    reading = read_steps(guide)
    assert [(step.kind, step.line, step.why) for step in reading.steps[1:3]] == [
        ("gpu", 10, ONLY_GPU),
        ("other system", 16, "for another operating system or shell"),
    ]
    assert with_implied(guide, reading) == reading.steps  # the guide has an installation
    for branch in ("gpu", tab) if tab != "ROCm" else (tab,):
        assert read_steps(guide, branch).steps[1].kind == "install"


@pytest.mark.parametrize("tab", ["GPU or CPU", "Linux", "pip"])
def test_a_tab_for_all_is_carried_out(tmp_path: Path, tab: str) -> None:
    (tmp_path / "guide.md").write_text(ALONE.replace("Linux GPU", tab), encoding="utf-8")
    assert read_steps(read_guide(tmp_path / "guide.md")).steps[1].kind == "install"


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("rest", [True, False])
def test_a_guide_for_a_gpu_alone_is_not_judged(root: Path, tmp_path: Path, index: Path, rest: bool) -> None:
    text = ALONE if rest else ALONE.partition("## Afterwards")[0]
    replay, found, _ = played(root, tmp_path, index, text)
    assert outcomes(replay) == ["passed", "unjudged", "skipped", "unjudged"][: 3 + rest]
    assert verdict(replay).words == f"not judged beyond line 10: {ONLY_GPU}"
    assert found is None


@pytest.mark.usefixtures("contained")
def test_a_tab_for_a_gpu_beside_an_installation_for_all_is_named(root: Path, tmp_path: Path, index: Path) -> None:
    text = f"# All\n\n```bash\npip install alpha\n```\n\n{ALONE}"
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay) == ["passed", "passed", "skipped", "skipped", "passed"]  # the same for another reader
    assert verdict(replay).words == "works"
    replay, _, _ = played(root, tmp_path, index, text.replace("    pip install alpha", "    pip install six"))
    assert outcomes(replay) == ["passed", "passed", "unjudged", "skipped", "passed"]
    assert verdict(replay).words == "works, but for what could not be judged at line 16"


@pytest.mark.parametrize(
    "option", [("--python", "banana"), ("--python", "../x"), ("--pip", "the newest"), ("--budget", "nan")]
)
def test_what_is_no_version_or_time_is_refused_by_its_name(tmp_path: Path, cli: Cli, option: tuple[str, str]) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("# A\n", encoding="utf-8")
    code, out, err = cli("replay", "--report", str(tmp_path / "r"), str(guide), *option)
    assert (code, out) == (2, "")
    assert f"{option[0]} {option[1]}: " in err
    assert not (tmp_path / "r").exists()


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, cli: Cli) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("```bash\necho here\n```\n", encoding="utf-8")
    code, out, err = cli("replay", str(guide), "--report", "/proc/dlmatrix-report")
    assert code == 2
    assert "the report cannot be written there" in err or "no folder that can be written" in err
    assert "here" not in out
