"""Installs distributions of a lock with uv, on this machine, for an image with another Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import uv

from dlmatrix.engines.failures import explain
from dlmatrix.layers.cache import Cache, cache_folder
from dlmatrix.layers.installed import Installed, all_files, take_apart
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.locks import PLATFORM, write_lock
from dlmatrix.matrix.model import LockEntry, Site, normal_name
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import uv_config, uv_environment
from dlmatrix.system.process import Finished, Say, run_lines
from dlmatrix.system.toml import read_toml


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """The caches that a build uses."""

    cache: Cache
    #: uv's own; None: where it always is
    downloads: Path | None = None
    #: more options for builds on the engine
    extra: tuple[str, ...] = ()


def own_workshop() -> Workshop:
    """The user's."""
    return Workshop(cache=Cache(cache_folder(os.environ)))


@dataclass(frozen=True, kw_only=True)
class Installer:
    """uv, told this machine's settings, for the wheels of one env; what it makes lies in ``folder``."""

    plan: Plan
    site: Site
    folder: Path
    workshop: Workshop
    say: Say

    def install(self, entries: Sequence[LockEntry]) -> dict[str, Installed]:
        """The distributions of these entries, as wheels only; by name. Raises what the installer's words mean."""
        venv = self._new("venv-")
        self._uv("venv", "--python", sys.executable, "--no-python-downloads", str(venv))
        before = frozenset(all_files(venv))
        target = ["--python-version", self.plan.env.python, "--python-platform", PLATFORM]
        install = ["pip", "install", "--python", str(venv / "bin" / "python"), *target, "--link-mode", "symlink"]
        install += ["--require-hashes", "--no-deps", "--no-build", "--no-compile-bytecode", *self.local.links]
        self._uv(*install, "--requirements", str(write_lock(venv / "lock.txt", entries)))
        (venv / "lock.txt").unlink()
        found = take_apart(venv, before, self.plan.env.python)
        return {normal_name(name): installed for name, installed in found.items()}

    def only_as_source(self, entries: Sequence[LockEntry]) -> set[str]:
        """The names of those of which there is no wheel at all; none is where nothing is locked to build with."""
        if self.plan.build_lock is None:
            return set()
        folder = self._new("sources-")
        folder.mkdir()
        command = ["pip", "compile", "--no-python-downloads", "--quiet", "--no-deps", *self.local.links]
        command += ["--format", "pylock.toml", "--python-version", self.plan.env.python, "--python-platform", PLATFORM]
        command += ["--output-file", str(folder / "pylock.toml"), str(write_lock(folder / "lock.txt", entries))]
        self._uv(*command)
        listed = read_toml(folder / "pylock.toml").get("packages", [])
        return {normal_name(one["name"]) for one in listed if not one.get("wheels")}

    def _uv(self, *arguments: str) -> Finished:
        config = self.folder / "uv.toml"
        config.write_text(uv_config(self.site, self.local), encoding="utf-8")
        command = [uv.find_uv_bin(), "--config-file", str(config), "--no-progress", *arguments]
        done = run_lines(command, say=self.say, environ=self._environ())
        if done.exit_code != 0:
            where = str(self.workshop.downloads or "uv's cache, or the working folder")
            raise explain(done.said, self.plan.env.name, where, done.exit_code, self.local)
        return done

    def _environ(self) -> Mapping[str, str]:
        own = {"UV_CACHE_DIR": str(self.workshop.downloads)} if self.workshop.downloads else {}
        return {**uv_environment(self.site, os.environ), **own}

    @cached_property
    def local(self) -> Local:
        """What lies in this machine's own folders."""
        return Local(self.site, self.plan.lock, self.plan.env.python)

    def _new(self, prefix: str) -> Path:
        return self.folder / f"{prefix}{len(list(self.folder.glob(prefix + '*')))}"
