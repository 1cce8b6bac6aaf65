"""The README says nothing that is not so: its table, its exit codes, and each of its commands."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlmatrix import errors
from dlmatrix.matrix.cells import as_markdown
from dlmatrix.matrix.model import Matrix

#: Commands that .ci/run runs, by the line of it that does (`.ci/run` itself is what runs the line).
IN_CI = {
    "nox -s cpu-torch": ".venv/bin/nox -s cpu-torch cpu-tf2 cpu-tf1",
    "make run": "make run",
    "make test": "make test",
    "make lint": "make lint",
    "make image-test": "make image-test",
    ".ci/engine start": ".ci/engine start",
    ".ci/run": 'cd "$(dirname "$0")/.."',
    "python -m dlmatrix run cpu-torch-2.13 --engine venv --report DIR": "run cpu-torch-2.13 --engine venv --report ",
    "python -m dlmatrix closure cpu-torch-2.13": "-m dlmatrix closure cpu-torch-2.13",
    "python -m dlmatrix guides": "-m dlmatrix guides",
    "python -m dlmatrix replay tests/guides/renamed-en.md": "-m dlmatrix replay tests/guides/renamed-en.md",
    "python -m dlmatrix audit cpu-torch-2.13": "-m dlmatrix audit cpu-torch-2.13",
    "python -m dlmatrix reproduce base-3.11": "-m dlmatrix reproduce base-3.11",
    "python -m dlmatrix cache": ".venv/bin/python -m dlmatrix cache\n",
    "python -m dlmatrix cache --keep 10": "-m dlmatrix cache --keep 10",
    "python -m dlmatrix doctor --json": "-m dlmatrix doctor --json",
    "python -m dlmatrix page REPORT": '-m dlmatrix page "$work/cells"',
    "nox -s compare -- A B": '.venv/bin/nox -s compare -- "$work/cells" "$work/cells"',
    "python -m dlmatrix compare --baseline DIR REPORT": '-m dlmatrix compare --baseline "$work/known" "$work/cells"',
    "python -m dlmatrix run cpu-torch-2.13 --engine docker --bare-metal": "cpu-torch-2.13 --engine docker --bare-metal",
    "python -m tests.faults --short": "python -m tests.faults --short",
    "nox -s doctor": ".venv/bin/nox -s doctor",
    "nox -s reproduce -- cpu-torch-2.13": ".venv/bin/nox -s reproduce -- cpu-torch-2.13",
    "nox -s lock -- cpu-torch-2.13": ".venv/bin/nox -s lock -- cpu-torch-2.13",
    "nox -s lock -- cpu-torch-2.13 --write": ".venv/bin/nox -s lock -- cpu-torch-2.13 --write",
}
#: The same for docs/images.md, whose other commands tests/image/test_images_page.py runs.
BY_CI = {
    "docker builder prune --all --filter type=regular": "docker builder prune --all --force --filter type=regular",
    "make clean": "make clean",
}
#: Commands that need neither network nor engine, run below.
BIN = ".venv/bin/"
HERE = (
    *("nox -l", "python -m dlmatrix list", "python -m dlmatrix plan cpu-torch-2.13"),
    "python -m dlmatrix replay --steps docs/guides.md",
    "python -m dlmatrix replay docs/guides.md",
)


#: The pages whose commands are run by a test; the other two are written by a command and by hand from what it measured.
PAGES = ("README.md", *(f"docs/{name}.md" for name in
         ("envs", "gpu", "same-bits", "reports", "comparing", "guides", "development")))  # fmt: skip
#: Where the part of a page begins that only a machine with a GPU can run.
NEEDS_A_GPU = "## On a machine with a GPU"


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """The README and the pages that its reference stands on."""
    pages = [(root / name).read_text(encoding="utf-8") for name in PAGES]
    return "\n".join(page.partition(NEEDS_A_GPU)[0] for page in pages)


def test_every_link_leads_somewhere(root: Path) -> None:
    for name in (
        *PAGES,
        "ARCHITECTURE.md",
        "docs/images.md",
        "docs/matrix.md",
        "docs/gpu-causes.md",
        "docs/clusters.md",
    ):
        for link in re.findall(r"\]\(([^)#]+)\)", (root / name).read_text(encoding="utf-8")):
            assert "://" in link or (root / name).parent.joinpath(link).exists(), f"{name}: {link}"


def test_the_first_screen_has_the_two_commands_before_anything_else(root: Path) -> None:
    first = (root / "README.md").read_text(encoding="utf-8").splitlines()[:50]
    assert [line for line in first if line.startswith("$ ")] == [
        "$ make run",
        "$ make test",
        "$ .venv/bin/nox -s cpu-torch",
    ]


def commands(text: str) -> Iterator[str]:
    """Every line after a prompt in a console block, without the folder of the checkout's own programs."""
    yield from (command.removeprefix(BIN) for command in as_written(text))


def as_written(text: str) -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.S | re.M)
    return [command for block in blocks for command in re.findall(r"^\$ (.*)$", block, re.M)]


def test_the_table_of_cells_is_generated(readme: str, matrix: Matrix) -> None:
    table = re.search(r"<!-- cells: [^>]*-->\n(.*?)\n<!-- end of cells -->", readme, re.S)
    assert table
    assert table[1] == as_markdown(matrix.envs)


def test_every_exit_code_is_explained(readme: str) -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.DlmatrixError)]
    codes = {0, errors.EXIT_INTERRUPTED} | {kind.exit_code for kind in kinds}
    assert codes == {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.M)}


def test_every_command_is_run_by_a_test(readme: str, root: Path) -> None:
    ci = (root / ".ci" / "run").read_text(encoding="utf-8")
    found = set(commands(readme))
    assert found == set(IN_CI) | set(HERE)
    for command, line in IN_CI.items():
        assert line in ci, f"{command} is in the README, and .ci/run does not run it"


def test_every_command_for_an_image_is_run_by_a_test(root: Path) -> None:
    text = (root / "docs" / "images.md").read_text(encoding="utf-8")
    tests = (root / "tests" / "image" / "test_images_page.py").read_text(encoding="utf-8")
    # Words of a long command are on several lines there.
    joined = re.sub(r"[\"']\n\s+[f]?[\"']", "", tests).replace("{option}", "")
    found = [command.replace("--shm-size 1g ", "") for command in as_written(text)]
    assert [command for command in found if command not in joined] == list(BY_CI)
    ci = (root / ".ci" / "run").read_text(encoding="utf-8")
    assert all(line in ci for line in BY_CI.values())


@pytest.mark.parametrize("command", HERE)
def test_a_command_of_the_readme(command: str, root: Path, readme: str) -> None:
    program, *arguments = shlex.split(command)
    assert BIN + command in as_written(readme)
    fresh = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run([BIN + program, *arguments], cwd=root, env=fresh, capture_output=True, text=True, check=False)
    assert done.returncode == (77 if "replay docs" in command else 0), done.stderr
    assert "cpu-torch" in done.stdout


def test_every_command_runs_from_a_fresh_shell(root: Path) -> None:
    """Neither nox nor the project's dependencies are on a new user's path: a command says where they are."""
    for file in (root / "README.md", *(root / "docs").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        bare = [command for command in as_written(text) if command.startswith(("nox ", "python -m dlmatrix "))]
        assert bare == [], file
        assert re.findall(r"`(?:nox -\w [^`]+|python -m dlmatrix [^`]+)`", text) == [], file


def test_the_transcript_is_of_a_real_run(readme: str) -> None:
    """A run prints these; whoever changes the output runs it again and pastes it here."""
    (first,) = re.findall(r"^```console\n\$ \.venv/bin/nox -s cpu-torch\n(.*?)^```", readme, re.S | re.M)
    for part in ("engine: docker", "cpu-torch-2.13", "passed", "report: "):
        assert part in first
