"""A local virtual environment from the same lock: what runs where no Docker engine answers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dlmatrix.engines.failures import explain
from dlmatrix.engines.host import run_smoke
from dlmatrix.engines.places import venv_place
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import SkippedEnv
from dlmatrix.inspection.closure import site_packages
from dlmatrix.inspection.installed import changed
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import uv_config, uv_environment
from dlmatrix.system.process import Say, run_lines
from dlmatrix.system.state import recall, remember, remembered_at, state_dir, still_holds
from dlmatrix.system.working import scratch


class VenvEngine:
    """Makes .dlmatrix/venvs/ENV with uv, from hashed requirements only."""

    name = "venv"
    contains = False
    builds_at_once = 1

    def __init__(self, site: Site, uv: str) -> None:
        self._site, self._uv = site, uv
        self.pythons = Pythons(site=site, uv=uv)

    def about(self) -> dict[str, str]:
        """The machine's own kernel; nothing is contained."""
        system = os.uname()
        return {"engine": "venv", "version": f"{system.sysname} {system.release} {system.machine}"}

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        """Install the lock, unless an environment of exactly this lock, Python and uv is there."""
        started = time.perf_counter()
        python = self._python(plan, say)
        folder = state_dir(plan.root) / "venvs" / plan.env.name
        _bring_back(folder)  # of a run that was killed
        key = f"{plan.lock.sha256} {plan.sources.build_lock} {python} {plan.uv_version}"
        built = recall(plan.root, "venv", plan.env.name) != {"key": key} or not (folder / "bin" / "python").exists()
        site = Path(site_packages(plan.env.python, str(folder)))
        if not built:
            now = _time(folder.parent)
            if what := changed(site, plan.lock, remembered_at(plan.root, "venv", plan.env.name)):
                say(f"made again: {what}")
                built = True
            else:
                still_holds(plan.root, "venv", plan.env.name, now)
        if built:
            with _aside(folder):
                self._install(plan, python, folder, say)
                # Its files are uv's cache's own, by hard links: whoever edits one in place edits that, too.
                if what := changed(site, plan.lock, 0):
                    say(f"installed again, without uv's cache: {what}")
                    shutil.rmtree(folder)
                    self._install(plan, python, folder, say, "--no-cache")
            remember(plan.root, "venv", plan.env.name, key=key)
        facts = {"base": str(python), "base kind": "this machine's Python", "key": key}
        what = str(folder / "bin" / "python")
        return Prepared(what=what, built=built, seconds=time.perf_counter() - started, facts=facts)

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        """Run the checks as a process of this machine."""
        return run_smoke(plan, Path(prepared.what), say)

    def place(self, plan: Plan) -> Place:
        """The environment's folder on this machine."""
        return venv_place(plan, state_dir(plan.root) / "venvs" / plan.env.name)

    def _python(self, plan: Plan, say: Say) -> Path:
        version = plan.env.python
        python = self.pythons.find(plan.root, version)
        why = "" if python else self.pythons.bring(plan.root, version, say)
        if python := python or self.pythons.find(plan.root, version):
            return python
        raise SkippedEnv(
            f"Python {version} is not on this machine, and uv could not bring it: {why}",
            f"install it (pyenv install {version}), or use a Docker engine, whose base brings it",
        )

    def _install(self, plan: Plan, python: Path, folder: Path, say: Say, *more: str) -> None:
        local = Local(self._site, plan.lock, plan.env.python)
        with scratch(plan.root) as temporary:
            config = temporary / "uv.toml"
            config.write_text(uv_config(self._site, local), encoding="utf-8")
            common = [self._uv, "--config-file", str(config), "--no-progress", *more]
            make = [*common, "venv", "--python", str(python), str(folder)]
            install = [*common, "pip", "install", "--python", str(folder / "bin" / "python"), "--require-hashes"]
            install += ["--no-compile-bytecode", "--requirements", str(plan.lock.file), *local.links]
            if plan.build_lock:
                install += ["--build-constraints", str(plan.build_lock)]
            for command in (make, install):
                done = run_lines(command, say=say, environ=uv_environment(self._site, os.environ))
                if done.exit_code != 0:
                    raise explain(done.said, plan.env.name, str(folder.parent), done.exit_code, local)


def _time(folder: Path) -> int:
    """The time as the file system has it, in nanoseconds: a clock that was set is no measure of its files."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime_ns


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[None]:
    """Keep what is in a folder until its successor is whole; where that fails, or is interrupted, it comes back."""
    old = _old(folder)
    if folder.exists():
        folder.rename(old)
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        _bring_back(folder)
        raise
    if old.exists():
        old.rename(_gone(folder))  # at once: what is half removed is not to come back
        shutil.rmtree(_gone(folder), ignore_errors=True)


def _bring_back(folder: Path) -> None:
    old = _old(folder)
    shutil.rmtree(_gone(folder), ignore_errors=True)
    if old.exists():
        shutil.rmtree(folder, ignore_errors=True)
        old.rename(folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _gone(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.gone")
