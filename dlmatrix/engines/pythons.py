"""The Pythons of virtual environments: those of this machine, and those that uv can bring."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Lock, Site
from dlmatrix.matrix.site import uv_config, uv_environment
from dlmatrix.system.interpreters import find_python
from dlmatrix.system.process import Finished, Say, run_lines
from dlmatrix.system.state import state_dir, state_folder
from dlmatrix.system.working import scratch

#: What the user tells uv of where Pythons come from.
_SETTINGS = ("UV_PYTHON_DOWNLOADS", "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")
#: Where nothing answers, ever longer waits (uv's own way) find the same.
_PATIENCE = {"UV_HTTP_RETRIES": "1", "UV_HTTP_CONNECT_TIMEOUT": "10"}


@dataclass(frozen=True, kw_only=True)
class Pythons:
    """Finds, brings and tries interpreters; what it brings is in the working folder, apart from all others."""

    site: Site
    uv: str

    def find(self, root: Path, version: str) -> Path | None:
        """The interpreter of a ``major.minor`` that is here, or None."""
        return find_python(version, more=(state_folder(root) / "pythons").glob(f"cpython-{version}.*/bin"))

    def bring(self, root: Path, version: str, say: Say) -> str:
        """Have uv install it. "" where it is here now, else why it is not, in one line."""
        say(f"Python {version} is not on this machine: uv looks for it")
        done = self._run(root, ["python", "install", "--no-bin", version])
        if done.exit_code == 0 and self.find(root, version):
            return ""
        return _why(done.said)

    def fits(self, root: Path, lock: Lock, version: str) -> str:
        """Whether a lock, with its hashes, is whole for a Python that is here: "" if so, else why not, in one line.

        A lock names every file of a release, those for other Pythons too. Nothing is installed.
        """
        local = Local(self.site, lock, version)
        with scratch(root) as folder:
            (folder / "uv.toml").write_text(uv_config(self.site, local), encoding="utf-8")
            words = ["--config-file", str(folder / "uv.toml"), "pip", "install", "--dry-run", "--require-hashes"]
            words += ["--no-build", "--python", str(self.find(root, version)), "--target", str(folder / "nothing")]
            done = self._run(root, [*words, *local.links, "--requirements", str(lock.file)])
        return "" if done.exit_code == 0 else _why(done.said)

    def _run(self, root: Path, words: list[str]) -> Finished:
        environ = _PATIENCE | uv_environment(self.site, os.environ)
        environ |= {name: value for name in _SETTINGS if (value := os.environ.get(name))}
        environ["UV_PYTHON_INSTALL_DIR"] = str(state_dir(root) / "pythons")
        return run_lines([self.uv, "--no-progress", *words], say=lambda line: None, environ=environ)


def _why(said: str) -> str:
    """What uv says first, and the deepest cause, less where it looked: that may hold a password."""
    causes = re.findall(r"^\s*(?:error|cause): (.*)", said, re.M) or said.strip().splitlines()[:1] or ["uv failed"]
    return re.sub(r"`?https?://\S+", "it", ": ".join(dict.fromkeys((causes[0], causes[-1]))))
