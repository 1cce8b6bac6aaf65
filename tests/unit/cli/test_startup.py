"""What the command line loads before it is told what to do, and of what a verb does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlmatrix.cli.verbs import make_parser
from dlmatrix.comparison.siblings import FEWEST
from dlmatrix.system.interpreters import find_python

#: What takes long to load, or is of no use to the verbs below.
HEAVY = {"cyclonedx", "docker", "elftools", "jinja2", "jsonschema", "pygal", "pynvml", "requests", "uv"}
LOADED = """
import json, sys
from dlmatrix.__main__ import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:  # of argparse, for --help
    code = end.code
sys.stderr.write(json.dumps([code, sorted(sys.modules)]))
"""


def loaded(root: Path, *arguments: str) -> set[str]:
    """Every module that a command loads, by its full name."""
    environ = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", LOADED, *arguments]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stderr)
    assert code == 0
    return set(modules)


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["--help"], {"rich", "packaging", "tomllib", "tomli"}),
        (["run", "--help"], {"rich", "packaging", "tomllib", "tomli"}),
        (["list", "--json"], {"rich"}),
        (["list", "--markdown"], {"rich"}),
        (["list"], set()),
    ],
)
def test_nothing_heavy_is_loaded(root: Path, arguments: list[str], more: set[str]) -> None:
    modules = loaded(root, *arguments)
    assert "dlmatrix.cli.verbs" in modules
    assert {name.partition(".")[0] for name in modules} & (HEAVY | more) == set()


def test_the_help_of_compare_names_how_many_reports_are_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args(["compare", "--help"])
    assert f"{FEWEST} or more" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["list"], ["run", "cpu-torch", "--engine", "venv"], ["doctor"], ["lock"]])
def test_an_interpreter_without_the_dependencies_is_told_what_to_type(
    root: Path, tmp_path: Path, arguments: list[str]
) -> None:
    command = [sys.executable, "-S", "-m", "dlmatrix", *arguments]  # -S: nothing that is installed is seen
    environ = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"dlmatrix: {sys.executable} has no module ")
    assert second == f"  next: in {root}: make setup, then .venv/bin/python -m dlmatrix {' '.join(arguments)}"


@pytest.mark.parametrize("version", ["3.7", "3.8", "3.9"])
def test_an_older_python_is_told_which_is_needed(root: Path, tmp_path: Path, version: str) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    command = [str(python), "-m", "dlmatrix", "list"]
    environ = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"dlmatrix: {python} is Python {version}, and dlmatrix needs 3.10 or newer\n"
        "  next: name one: make setup PYTHON=python3.12\n"
    )
