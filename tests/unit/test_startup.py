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
        (["list", "--json"], {"rich", "packaging"}),
        (["list", "--markdown"], {"rich", "packaging"}),
        (["list"], {"packaging"}),
        (["plan", "cpu-torch-2.13"], set()),
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
