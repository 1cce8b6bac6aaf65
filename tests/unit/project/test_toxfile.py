"""tox's uv is told what pip was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "import json, os, runpy; runpy.run_path('toxfile.py'); print(json.dumps(dict(os.environ)))"


def after_toxfile(root: Path, home: Path, **told: str) -> dict[str, str]:
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(home), "PATH": os.defpath, **told}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, env=environ, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def test_index_and_certificates_of_pip_s_file(root: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates\n")
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    settings = f"[global]\nindex-url = https://mirror.example/simple\ncert = {bundle}\n"
    (tmp_path / ".config" / "pip" / "pip.conf").write_text(settings)
    found = after_toxfile(root, tmp_path)
    assert (found["UV_DEFAULT_INDEX"], found["SSL_CERT_FILE"]) == ("https://mirror.example/simple", str(bundle))
    other = after_toxfile(root, tmp_path, SSL_CERT_FILE=str(tmp_path / "other.pem"))
    assert other["SSL_CERT_FILE"] == str(tmp_path / "other.pem")


def test_the_interpreters_of_pyenv_come_first(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".pyenv" / "versions" / "3.9.1" / "bin").mkdir(parents=True)
    assert after_toxfile(root, tmp_path)["PATH"].startswith(str(tmp_path / ".pyenv/versions/3.9.1/bin:"))


def test_a_file_of_pip_s_that_cannot_be_read_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "pip" / "pip.conf").write_text("no section\n")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        after_toxfile(root, tmp_path)
    said = failed.value.stderr.decode()
    assert "pip.conf: pip could not read this" in said
    assert "Traceback" not in said
