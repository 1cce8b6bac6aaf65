"""The files that locks ask for: which, from where, and brought here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import uv
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from dlmatrix.bundle import answers
from dlmatrix.engines.failures import explain
from dlmatrix.errors import BuildError, IntegrityError, NetworkError
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.locks import PLATFORM
from dlmatrix.matrix.model import Lock, Site, normal_name
from dlmatrix.matrix.site import uv_config, uv_environment
from dlmatrix.system.addresses import bare, request
from dlmatrix.system.files import sha256
from dlmatrix.system.process import Say, run_lines
from dlmatrix.system.state import state_dir
from dlmatrix.system.toml import read_toml
from dlmatrix.system.working import scratch

#: glibc's, from the newest that an env may need down to the oldest.
_GLIBC = tuple(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1))
_OLD = {17: "manylinux2014_x86_64", 12: "manylinux2010_x86_64", 5: "manylinux1_x86_64"}
_TRIES, _SECONDS = 3, 60


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One file of an index or of a folder, the same wherever it comes from."""

    name: str
    sha256: str
    #: it may hold a password, and is shown to nobody
    url: str = field(compare=False, repr=False)
    #: None where the index does not say
    size: int | None = field(compare=False)


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Finds the files of locks with uv, and keeps what it downloads in the working folder."""

    root: Path
    site: Site
    say: Say
    #: set by an interrupt, which reaches no thread that downloads
    stopped: threading.Event = field(default_factory=threading.Event)

    def files(self, lock: Lock, python: str) -> list[Distribution]:
        """The one file of each distribution that an installer on a Python (``3.11``) takes, in the lock's order.

        Where a marker tells releases of a Python apart, what the first needs is there, and what the last.
        """
        found: dict[str, Distribution] = {}
        apart = "python_full_version" in lock.file.read_text(encoding="utf-8")
        for release in (f"{python}.0", f"{python}.99")[: 2 if apart else 1]:
            for one in self._locked(lock, release):
                found[one.name] = one
        return sorted(found.values(), key=lambda one: one.name)

    def _locked(self, lock: Lock, release: str) -> list[Distribution]:
        """What was answered before, where all of it is at hand; else what uv says, which is kept."""
        python = release.rpartition(".")[0]
        local = Local(self.site, lock, python)
        hashes = {(entry.name, entry.version): set(entry.hashes) for entry in lock.entries}
        tags = _tags(release)

        def best(packages: Sequence[dict[str, Any]]) -> list[Distribution]:
            keys = [(normal_name(one["name"]), one["version"]) for one in packages]
            return [
                _best(one, hashes.get(key, set()), tags, lock.file) for one, key in zip(packages, keys, strict=True)
            ]

        file = answers.place(self.root, [version("uv"), release, PLATFORM, lock.sha256, *self._sources(local)])
        with contextlib.suppress(BuildError):
            known = best(answers.recall(file))
            if known and all(one.url or (self._downloads / one.sha256).is_file() for one in known):
                return known
        packages = self._ask(lock, release, local)
        found = best(packages)
        answers.keep(file, packages)
        return found

    def _sources(self, local: Local) -> list[str]:
        """Where files may come from: addresses without who asks, and the local files as they are."""
        indexes = [bare(one) for one in (self.site.index or "", *self.site.extra_indexes)]
        stats = [(file, file.stat()) for file in local.files]
        return [*indexes, *(f"{file} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats)]

    def _ask(self, lock: Lock, release: str, local: Local) -> list[dict[str, Any]]:
        with scratch(self.root) as folder:
            (folder / "uv.toml").write_text(uv_config(self.site, local), encoding="utf-8")
            command = [uv.find_uv_bin(), "--no-python-downloads", "--config-file", str(folder / "uv.toml")]
            command += ["--no-progress", "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml"]
            command += ["--output-file", str(folder / "pylock.toml")]
            command += ["--python-version", release, "--python-platform", PLATFORM, str(lock.file)]
            command += local.links
            done = run_lines(command, say=lambda line: None, environ=uv_environment(self.site, os.environ))
            if done.exit_code != 0:
                raise explain(done.said, lock.file.stem, "uv", done.exit_code, local)
            return list(read_toml(folder / "pylock.toml").get("packages", []))

    def bring(self, wanted: Distribution, number: str) -> Path:
        """The file on this machine, its sha256 as the lock has it. Raises NetworkError, or IntegrityError.

        ``number`` says, where it is downloaded, how many there are.
        """
        if wanted.url.startswith("file:"):
            file = Path(unquote(urlsplit(wanted.url).path))
            if sha256(file) != wanted.sha256:
                raise IntegrityError(f"{file}: is not the file that the lock names", "remove it from find-links")
            return file
        kept = self._downloads / wanted.sha256
        if kept.is_file():
            if sha256(kept) == wanted.sha256:
                return kept
            kept.unlink(missing_ok=True)
            if not wanted.url:
                raise IntegrityError(f"{kept}: {wanted.name} was damaged, and is removed", "run it again")
        self.say(f"downloading {number}: {wanted.name}")
        with scratch(self.root) as temporary:
            made = temporary / "file"
            self._download(wanted, made)
            made.replace(kept)
        return kept

    @cached_property
    def _downloads(self) -> Path:
        folder = state_dir(self.root) / "downloads"
        folder.mkdir(exist_ok=True)
        return folder

    @cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context(cafile=str(self.site.ca_bundle) if self.site.ca_bundle else None)
        proxies = {name.removesuffix("_proxy"): value for name, value in self.site.proxies.items()}
        handlers = [urllib.request.HTTPSHandler(context=context)]
        if self.site.proxies:
            handlers.append(urllib.request.ProxyHandler(proxies))  # type: ignore[arg-type]
        return urllib.request.build_opener(*handlers)

    def _download(self, wanted: Distribution, target: Path) -> None:
        why = ""
        for _ in range(_TRIES):
            try:
                with self._opener.open(request(wanted.url), timeout=_SECONDS) as answer, target.open("wb") as stream:
                    digest = hashlib.sha256()
                    while piece := answer.read(1 << 20):
                        if self.stopped.is_set():
                            raise KeyboardInterrupt
                        digest.update(piece)
                        stream.write(piece)
            except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError) as error:
                why = str(getattr(error, "reason", error))
                continue
            if digest.hexdigest() == wanted.sha256:
                return
            why = "it has not the sha256 in the lock"
        raise NetworkError(f"{wanted.name} could not be downloaded: {why}", "try again: what has come is kept")


def _best(package: dict[str, object], hashes: set[str], tags: Sequence[Tag], lock: Path) -> Distribution:
    """The file that an installer takes: the wheel whose tags come first, else the source."""
    files: list[Distribution] = []
    sdist = package.get("sdist")
    wheels = package.get("wheels", [])
    for one in [*wheels, *([sdist] if sdist else [])]:  # type: ignore[misc]
        if (sha256 := one["hashes"].get("sha256", "")) in hashes:
            url = answers.url_of(one)
            files.append(Distribution(name=answers.name_of(one), url=url, sha256=sha256, size=one.get("size")))
    order = {tag: number for number, tag in enumerate(tags)}

    def rank(one: Distribution) -> int:
        if not one.name.endswith(".whl"):
            return len(order)
        return min((order.get(tag, len(order) + 1) for tag in parse_wheel_filename(one.name)[3]), default=len(order))

    if not files:
        raise BuildError(
            f"{lock}: no file of {package['name']} {package['version']} with a hash of the lock is to be had",
            "look for it in the index, or name a folder that has it: export UV_FIND_LINKS=DIR",
        )
    return min(files, key=rank)


def _tags(release: str) -> list[Tag]:
    version = tuple(int(part) for part in release.split(".")[:2])
    platforms = [name for one in _GLIBC for name in _aliases(one)] + ["linux_x86_64"]
    return [*cpython_tags(version, platforms=platforms), *compatible_tags(version, platforms=platforms)]


def _aliases(platform: str) -> list[str]:
    old = _OLD.get(int(platform.split("_")[2]))
    return [platform, old] if old else [platform]
