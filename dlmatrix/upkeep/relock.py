"""Regenerates the locks from envs/ with the pinned uv: the same bytes as long as nothing changed."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from dlmatrix.engines.failures import explain
from dlmatrix.errors import ConfigError, DiskFullError, NetworkError
from dlmatrix.matrix.agreement import check_requirements
from dlmatrix.matrix.compatibility import Compatibility, load_compatibility
from dlmatrix.matrix.load import select
from dlmatrix.matrix.locks import PLATFORM, parse_lock
from dlmatrix.matrix.model import Env, KnownWheel, Matrix, Site, Status
from dlmatrix.matrix.site import index_config, uv_environment
from dlmatrix.system.files import diff, read_text, replace
from dlmatrix.system.process import Say, run_lines
from dlmatrix.system.working import scratch

#: The name that stands for the project's own tools among the names of envs.
TOOLS = "tools"
#: What of pyproject.toml each lock of the project holds: its tools, the extra for a fleet, and what a machine of one is
#: sent. The others keep to what the tools' has.
PROJECT = {TOOLS: ("--group", "dev"), "fleet": ("--extra", "fleet"), "machine": ()}


@dataclass(frozen=True, kw_only=True)
class Locker:
    """Locks the envs of one matrix, with this machine's settings and one uv."""

    matrix: Matrix
    site: Site
    uv: str

    def relock(self, names: Iterable[str], *, write: bool, say: Say) -> bool:
        """Regenerate locks and show what changes; returns whether any does.

        ``names`` are envs, sessions or those of PROJECT; none means all that can have a lock. Files change
        only with ``write``, and only after every lock asked for was made. Raises UsageError for an
        unknown name, ConfigError where uv finds no solution or an index serves a file without its
        sha256, NetworkError where none answers.
        """
        names = tuple(names)
        envs = select(self.matrix, (n for n in names if n not in PROJECT)) if names else self.matrix.envs
        fresh: dict[Path, str] = {}
        for env in envs:
            if env.status is Status.IMPOSSIBLE:
                say(f"{env.name}: has no lock: {env.reason}")
                continue
            say(f"{env.name}: locking as of {env.exclude_newer}")
            fresh |= self.lock(env)
        for name in (name for name in PROJECT if not names or name in names):
            say(f"{name}: locking; what is locked stays while it fits")
            fresh[self._file(name)] = self._lock_project(name)
        changed = {file: text for file, text in fresh.items() if read_text(file) != text}
        for file, text in changed.items():
            say(diff(self.matrix.root, file, text))
        if write:
            for file, text in changed.items():
                replace(file, text)
        return bool(changed)

    def lock(self, env: Env) -> dict[Path, str]:
        """What an env's lock files should hold: the lock, and that of its build requirements if it has any."""
        check_requirements(env)
        _check_python(load_compatibility(self.matrix.root), env)
        files = {self._file(env.name): self._resolve(env, env.requirements)}
        if env.build_requirements:
            files[self._file(f"{env.name}.build")] = self._resolve(env, env.build_requirements)
        return files

    def _resolve(self, env: Env, requirements: Iterable[str]) -> str:
        with scratch(self.matrix.root) as folder:
            options = ["--python-version", env.python, "--python-platform", PLATFORM]
            options += ["--exclude-newer", env.exclude_newer]
            options += ["--constraints", str(_listed(folder / "constraints.in", env.constraints))]
            indexes, metadata = [], ""
            if env.wheels:
                index, metadata = known_wheels_index(folder / "wheels", env.wheels)
                indexes.append(index.as_uri())
                for wheel in env.wheels:  # a folder's pages carry no dates, and the hash fixes the file
                    options += ["--exclude-newer-package", f"{parse_wheel_filename(wheel.file)[0]}=false"]
            settings = _listed(folder / "uv.toml", [index_config(self.site, indexes), metadata])
            source = _listed(folder / "requirements.in", requirements)
            return self._compile(env.name, env.file, [*options, "--config-file", str(settings), str(source)])

    def _lock_project(self, name: str) -> str:
        """Lock what pyproject.toml asks for; uv prefers the pins that its output file has."""
        project = self.matrix.root / "pyproject.toml"
        with scratch(self.matrix.root) as folder:
            settings = _listed(folder / "uv.toml", [index_config(self.site)])
            locked = folder / f"{name}.txt"
            replace(locked, read_text(self._file(name)))
            options = [str(project), *PROJECT[name]]  # uv looks for a group in the folder that it is started in
            options += [] if name == TOOLS else ["--constraints", str(self._file(TOOLS))]
            options += ["--universal", "--python-version", "3.10", "--output-file", str(locked)]
            return self._compile(name, project, [*options, "--config-file", str(settings)])

    def _compile(self, name: str, source: Path, options: list[str]) -> str:
        again = f"nox -s lock -- {name} --write"
        command = [self.uv, "--no-python-downloads", "pip", "compile", "--no-progress", "--generate-hashes"]
        command += ["--no-annotate", "--custom-compile-command", again, *options]
        environ = uv_environment(self.site, os.environ)
        done = run_lines(command, say=lambda line: None, environ=environ, cwd=self.matrix.root)
        if done.exit_code != 0:
            cause = explain(done.said, name, "uv")
            if isinstance(cause, NetworkError | DiskFullError):
                raise cause
            said = "\n".join(done.said.strip().splitlines()[-12:])
            raise ConfigError(f"{source}: uv cannot lock it:\n{said}", "change its requirements or its date")
        text = done.stdout.decode()
        parse_lock(self._file(name), text, f"the index must serve hashes, or {source.name} give them; then {again}")
        return text

    def _file(self, name: str) -> Path:
        return self.matrix.root / "envs" / "locks" / f"{name}.txt"


def known_wheels_index(folder: Path, wheels: Iterable[KnownWheel]) -> tuple[Path, str]:
    """Make a package index of wheels that are known and out of reach.

    Returns its folder, and what uv has to be told so that it needs none of the files: their
    metadata (``dependency-metadata`` of uv's settings).
    """
    settings = ""
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(wheel.file)
        page = folder / name
        page.mkdir(parents=True, exist_ok=True)
        link = f'<a href="{html.escape(wheel.file)}#sha256={wheel.sha256}">{html.escape(wheel.file)}</a>\n'
        with (page / "index.html").open("a", encoding="utf-8") as file:
            file.write(link)
        requires = ", ".join(f"'{requirement}'" for requirement in wheel.requires)
        settings += f"[[dependency-metadata]]\nname = '{name}'\nversion = '{version}'\nrequires-dist = [{requires}]\n"
    return folder, settings


def _check_python(table: Compatibility, env: Env) -> None:
    """Refuse, before uv says it in many words, a Python that the version has no wheels for."""
    known = table.python_of(env)
    if known and not known.oldest <= Version(env.python) <= known.newest:
        raise ConfigError(
            f"{env.file}: python: {env.series} {env.version} has no wheels for Python {env.python}",
            f"choose one from {known.oldest} to {known.newest}",
        )


def _listed(file: Path, lines: Iterable[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file
