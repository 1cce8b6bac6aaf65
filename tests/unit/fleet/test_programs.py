"""What Ansible is told, and where its programs find each other."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from dlmatrix.errors import UsageError
from dlmatrix.fleet.ansible.programs import machines, settings

#: What ansible-inventory 2.19.14 says, with exit code 0, of a folder with one file that it cannot read.
HALF = """[WARNING]: Failed to parse inventory with 'ini' plugin: Invalid host pattern 'a:' supplied
[WARNING]: Unable to parse /lab/bad as an inventory
source"""


def test_programs_of_this_environment_are_found_though_it_is_not_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """``.venv/bin/python -m dlmatrix fleet``, as every message has it, activates nothing."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = settings(1)["PATH"]
    assert path.startswith("/usr/bin:/bin:")
    assert shutil.which(Path(sys.executable).name, path=path.rpartition(":")[2])


@pytest.mark.parametrize(
    ("hosts", "said", "words"),
    [
        (["m1", "m2"], HALF, "Ansible cannot read all of it.*Invalid host pattern"),
        ([], "[WARNING]: Could not match supplied host pattern, ignoring: room", "has no machine that fits room"),
    ],
)
def test_an_inventory_of_which_a_part_cannot_be_read_loses_no_machine_in_silence(
    hosts: list[str], said: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(said)
    (tmp_path / "found").write_text(json.dumps({"x": {"hosts": hosts}}))
    (program := tmp_path / "ansible-inventory").write_text(
        f"#!/bin/sh\ncat {tmp_path}/said >&2; cat {tmp_path}/found\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UsageError, match=words) as raised:
        machines(tmp_path, "room", ())
    assert f"{program} -i {tmp_path} --graph" in raised.value.next_step
