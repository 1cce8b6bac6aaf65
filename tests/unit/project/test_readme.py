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
from dlmatrix.cli.verbs import make_parser
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
    "nox -s compare -- A B": '.venv/bin/nox -s compare -- "$work/known/1" "$work/known/2"',
    "python -m dlmatrix compare --baseline DIR REPORT": '-m dlmatrix compare --baseline "$work/known" "$work/cells"',
    "python -m dlmatrix run cpu-torch-2.13 --engine docker --bare-metal": "cpu-torch-2.13 --engine docker --bare-metal",
    "python -m tests.faults --short": "python -m tests.faults --short",
    "nox -s doctor": ".venv/bin/nox -s doctor",
    "nox -s reproduce -- cpu-torch-2.13": ".venv/bin/nox -s reproduce -- cpu-torch-2.13",
    "nox -s lock -- cpu-torch-2.13": ".venv/bin/nox -s lock -- cpu-torch-2.13",
    "nox -s lock -- cpu-torch-2.13 --write": ".venv/bin/nox -s lock -- cpu-torch-2.13 --write",
    "nox -s bundle -- cpu-torch cpu-tf2 --out room.bundle": 'nox -s bundle -- cpu-torch-2.13 --out "$work/room.bundle"',
    "nox -s bundle -- cpu-torch --out room.bundle --sign ~/.ssh/id_ed25519": 'room.bundle" --sign "$work/key"',
    "python3 room.bundle": 'in_room python3 "$work/room.bundle"',
    "python -m dlmatrix unbundle room.bundle --key id_ed25519.pub": '-m dlmatrix unbundle "$work/room.bundle"',
    # What these would start is staged by tests.fleet, with machines of its own and not by this command.
    "nox -s fleet -- INVENTORY --env gpu-torch": 'nox -s fleet -- --plan "$work/inventory.ini" --env gpu-torch',
    "python -m dlmatrix fleet --plan INVENTORY --env gpu-torch": '-- --plan "$work/inventory.ini" --env gpu-torch',
}
#: The same of commands that other tests run, in CI or here, by their file.
IN_TESTS = {
    "python -m dlmatrix fleet INVENTORY --env gpu-torch --limit 'gpu:!room2' -- --become --vault-password-file KEY": (
        "tests/unit/fleet/test_command.py",
        """lab("lab.yml", "--env", "gpu-torch", "--limit", "gpu:!room2", "--", "--become", "--vault-password-file", """,
    ),
    "python -m dlmatrix fleet --plan --slurm 'gpu[01-30]' --shared DIR --env gpu-torch -- --partition=all": (
        "tests/unit/fleet/test_slurm.py",
        """"--plan", "--slurm", "gpu[01-30]", "--shared", str(tmp_path), "--env", "gpu-torch",""",
    ),
    # In CI, on a real Slurm: what the command calls once it knows its nodes.
    "python -m dlmatrix fleet --slurm 'gpu[01-30]' --shared DIR --env gpu-torch": (
        "tests/fleet/test_slurm.py",
        "carry_on(",
    ),
    "python -m dlmatrix fleet --slurm 'gpu[01-30]' --shared DIR --env gpu-torch-2.13 --engine apptainer": (
        "tests/unit/fleet/test_command.py",
        "make_images(checkout, asked, said.append)",
    ),
    # With another env, on a real Docker engine and a real Apptainer.
    "python -m dlmatrix bundle gpu-torch-2.13 --no-wheels --out gpu-torch-2.13.bundle": (
        "tests/image/test_apptainer.py",
        'dlmatrix("bundle", NAME, "--no-wheels", "--out", str(bundle)',
    ),
    "python -m dlmatrix run gpu-torch-2.13 --engine apptainer --sif DIR --bundle gpu-torch-2.13.bundle": (
        "tests/image/test_apptainer.py",
        'run("first", "--bundle", str(bundle))',
    ),
    "python -m dlmatrix run gpu-torch-2.13 --engine apptainer --sif DIR": (
        "tests/image/test_apptainer.py",
        'words = ["--engine", "apptainer", "--sif", str(sif)',
    ),
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


#: The pages whose commands are run by a test. Those of images.md have one of their own, those of matrix.md need a GPU.
_NAMES = ["envs", "gpu", "same-bits", "reports", "comparing", "guides", "development", "bundle", "fleet", "clusters"]
PAGES = ("README.md", *(f"docs/{name}.md" for name in _NAMES))
#: Where the part of a page begins that only a machine with a GPU can run.
NEEDS_A_GPU = "## On a machine with a GPU"


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    """The README and the pages that its reference stands on."""
    pages = [(root / name).read_text(encoding="utf-8") for name in PAGES]
    return "\n".join(page.partition(NEEDS_A_GPU)[0] for page in pages)


def test_every_link_leads_somewhere(root: Path) -> None:
    for file in (root / "README.md", root / "ARCHITECTURE.md", *(root / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", file.read_text(encoding="utf-8")):
            assert "://" in link or file.parent.joinpath(link).exists(), f"{file}: {link}"


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
    assert found == set(IN_CI) | set(HERE) | set(IN_TESTS)
    for command, line in IN_CI.items():
        assert line in ci, f"{command} is in the README, and .ci/run does not run it"
    for command, (file, line) in IN_TESTS.items():
        assert line in (root / file).read_text(encoding="utf-8"), f"{command} is on a page, and {file} does not run it"


def test_every_command_of_every_page_is_understood(root: Path, matrix: Matrix) -> None:
    """Also those in sentences and tables: verbs, options and their order, not what stands for a name."""
    sessions = {env.session for env in matrix.envs}
    count = 0
    for file in (root / "README.md", *(root / "docs").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        found = re.findall(r"(?:^\$ |`)\.venv/bin/python -m dlmatrix ([^`\n]+)", text, re.M)
        for session, words in re.findall(r"(?:^\$ |`)\.venv/bin/nox -s ([\w-]+)(?: -- ([^`\n]+))?", text, re.M):
            found.append(f"{'run ' if session in sessions else ''}{session} {words}")
        for command in found:
            make_parser().parse_args(shlex.split(command))
        count += len(found)
    assert count > 40


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
