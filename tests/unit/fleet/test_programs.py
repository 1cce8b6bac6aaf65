"""What Ansible is told, and where its programs find each other."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from dlmatrix.fleet.ansible.programs import settings


def test_programs_of_this_environment_are_found_though_it_is_not_active(monkeypatch: pytest.MonkeyPatch) -> None:
    """``.venv/bin/python -m dlmatrix fleet``, as every message has it, activates nothing."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = settings(1)["PATH"]
    assert path.startswith("/usr/bin:/bin:")
    assert shutil.which(Path(sys.executable).name, path=path.rpartition(":")[2])
