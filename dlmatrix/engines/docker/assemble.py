"""The layers of an env's lock, made of its wheels or out of the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from dlmatrix.engines.docker.buildx import buildx
from dlmatrix.engines.docker.images import Images
from dlmatrix.engines.docker.recipe import wheels_command
from dlmatrix.engines.docker.staging import stage_sources
from dlmatrix.engines.docker.wheels import Installer
from dlmatrix.errors import BuildError
from dlmatrix.layers.archive import at_once, write_layer
from dlmatrix.layers.bytecode import Bytecode
from dlmatrix.layers.cache import Kept
from dlmatrix.layers.installed import PREFIX, File, Installed, take_apart
from dlmatrix.layers.maker import layer_maker
from dlmatrix.matrix.locks import PLATFORM
from dlmatrix.matrix.model import LockEntry, normal_name
from dlmatrix.matrix.plan import SOURCE_DATE_EPOCH, ChosenBase
from dlmatrix.system.process import in_threads
from dlmatrix.system.working import scratch

#: Installed bytes from which a wheel has a layer of its own; the smaller ones share so many, by their names.
LARGE, SHARED = 8_000_000, 4
_EPOCH = int(SOURCE_DATE_EPOCH)
_ABOUT_PYTHON = "import sys, importlib.util as u; print(sys.version.replace(chr(10), ' '), u.MAGIC_NUMBER.hex())"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The entries of a lock that share a layer, and the layer's key."""

    entries: tuple[LockEntry, ...]
    key: str

    @property
    def holds(self) -> tuple[str, ...]:
        """The distributions, as name==version."""
        return tuple(f"{entry.name}=={entry.version}" for entry in self.entries)


class Assembly:
    """The layers of one env."""

    def __init__(self, base: ChosenBase, images: Images, installer: Installer) -> None:
        self._base, self._images, self._installer = base, images, installer
        self._plan, self._cache, self._say = installer.plan, installer.workshop.cache, installer.say
        self._installed: dict[str, Installed] = {}

    def layers(self) -> list[Kept]:
        """The layers in their order; what the cache lacks is made."""
        python = self._python()
        facts = self._facts()
        for line in disputed({name: fact["sums"] for name, fact in facts.items()}):
            self._say(line)
        groups = [self._group(entries, python, facts) for entries in grouped(self._plan.lock.entries, facts)]
        with ThreadPoolExecutor(at_once()) as pool:  # a gigabyte takes a second to be read
            kept = pool.map(self._cache.find, [group.key for group in groups])
            found = {group.key: one for group, one in zip(groups, kept, strict=True) if one}
        missing = [group for group in groups if group.key not in found]
        self._say(f"layers: {len(found)} of {len(groups)} are in the cache")
        found |= self._make(missing, {name for name, fact in facts.items() if fact["source"]})
        return [found[group.key] for group in groups]

    def _python(self) -> str:
        """All that bytecode is a function of beside its source: the base's interpreter."""
        key = _digest({"base": self._base.identity, "python": self._plan.env.python})
        if (known := self._cache.fact(key)) is None:
            said = self._images.look(self._base.ref, f"python{self._plan.env.python}", "-S", "-c", _ABOUT_PYTHON)
            known = {"python": said.decode("utf-8", "replace").strip()}
            self._cache.note(key, known)
        return str(known["python"])

    def _facts(self) -> dict[str, Mapping[str, Any]]:
        """What is known of each entry once it was installed: its size, its files, and whether it was built here."""
        keys = {entry.name: self._fact_key(entry) for entry in self._plan.lock.entries}
        facts: dict[str, Mapping[str, Any]] = {
            name: fact for name, key in keys.items() if (fact := self._cache.fact(key))
        }
        unknown = [entry for entry in self._plan.lock.entries if entry.name not in facts]
        if unknown:
            sources = self._installer.only_as_source(unknown)
            self._install(unknown, sources)
            for entry in unknown:
                one = self._installed[entry.name]
                facts[entry.name] = {
                    "bytes": sum(file.size() for file in one.files),
                    "sums": dict(one.sums),
                    "source": entry.name in sources,
                }
                self._cache.note(keys[entry.name], facts[entry.name])
        return facts

    def _install(self, entries: Sequence[LockEntry], sources: set[str]) -> None:
        wheels = [entry for entry in entries if entry.name not in sources]
        if wheels:
            self._installed |= self._installer.install(wheels)
        if built := [entry for entry in entries if entry.name in sources]:
            self._installed |= self._build(built)
        if gone := [entry.name for entry in entries if entry.name not in self._installed]:
            raise BuildError(f"{self._plan.env.name}: uv installed no {', '.join(gone)}", "report this as a bug")

    def _build(self, entries: Sequence[LockEntry]) -> dict[str, Installed]:
        """What there is only as source, built in the base."""
        folder = self._installer.folder / "built"
        folder.mkdir(exist_ok=True)
        target = folder / f"out-{len(list(folder.iterdir()))}"
        with scratch(self._plan.root) as staged:
            site, local, extra = self._installer.site, self._installer.local, self._installer.workshop.extra
            contexts, secrets = stage_sources(self._plan, site, local, entries, staged)
            command = wheels_command(self._plan, self._base, contexts, secrets, target=target, extra=extra)
            buildx(command, self._plan.env.name, say=self._say, local=local)
        found = take_apart(target, frozenset(), self._plan.env.python)
        return {normal_name(name): installed for name, installed in found.items()}

    def _group(self, entries: tuple[LockEntry, ...], python: str, facts: Mapping[str, Mapping[str, Any]]) -> Group:
        compiler = (self._plan.root / "docker" / "compile-bytecode").read_bytes()
        built = [entry.name for entry in entries if facts[entry.name]["source"]]
        key = {
            "wheels": [[entry.name, entry.version, sorted(entry.hashes)] for entry in entries],
            # What is compiled from source may depend on anything in the base.
            "built": [built, self._plan.sources.build_lock, self._base.identity] if built else [],
            "place": [PREFIX, self._plan.env.python, PLATFORM, SOURCE_DATE_EPOCH],
            "python": python,
            "maker": [layer_maker(), hashlib.sha256(compiler).hexdigest(), self._plan.uv_version],
        }
        return Group(entries=entries, key=_digest(key))

    def _make(self, groups: Sequence[Group], sources: set[str]) -> dict[str, Kept]:
        wanted = [entry for group in groups for entry in group.entries if entry.name not in self._installed]
        self._install(wanted, sources)
        files = [_files(self._installed[entry.name] for entry in group.entries) for group in groups]
        made: dict[str, Kept] = {}
        with self._cache.scratch() as folder:
            bytecode = Bytecode(files, self._plan.env.python, folder)

            def write(number: int) -> None:
                group, layer = groups[number], folder / str(number)
                self._say(f"layers: making that of {' '.join(group.holds)}")
                blob = write_layer(files[number], bytecode.of(number), layer, _EPOCH)
                made[group.key] = self._cache.keep(group.key, blob, layer, group.holds)

            largest = sorted(range(len(groups)), key=lambda number: -sum(file.size() for file in files[number]))
            jobs = [partial(write, number) for number in largest]
            if jobs:
                in_threads([partial(bytecode.compile, self._compile), *jobs], 1 + at_once())
        return made

    def _compile(self, given: IO[bytes], made: IO[bytes]) -> None:
        program = (self._plan.root / "docker" / "compile-bytecode").read_text(encoding="utf-8")
        self._images.compute(self._base.ref, f"python{self._plan.env.python}", program, given=given, made=made)

    def _fact_key(self, entry: LockEntry) -> str:
        plan = self._plan
        what = [entry.name, entry.version, sorted(entry.hashes), plan.env.python, PLATFORM, plan.uv_version]
        return _digest({"entry": what, "build": plan.sources.build_lock, "maker": layer_maker()})


def grouped(entries: Iterable[LockEntry], facts: Mapping[str, Mapping[str, Any]]) -> list[tuple[LockEntry, ...]]:
    """Which entries share a layer: large ones none, small ones by their names alone, so that envs share layers.

    Large ones come first, by name: an engine unpacks a layer again where one below it is another.
    """
    alone: list[tuple[LockEntry, ...]] = []
    shared: list[list[LockEntry]] = [[] for _ in range(SHARED)]
    for entry in sorted(entries, key=lambda entry: entry.name):
        if facts[entry.name]["bytes"] >= LARGE:
            alone.append((entry,))
        else:
            shared[hashlib.sha256(entry.name.encode()).digest()[0] % SHARED].append(entry)
    return [*alone, *(tuple(some) for some in shared if some)]


def disputed(sums: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The files that two distributions bring, and not alike, in words."""
    owners: dict[str, str] = {}
    found = []
    for name in sorted(sums):
        for path, digest in sums[name].items():
            other = owners.setdefault(path, name)
            if other != name and sums[other][path] != digest:
                found.append(f"{path} is brought by {other} and, otherwise, by {name}")
    return found


def _files(installed: Iterable[Installed]) -> list[File]:
    """The files of some distributions, each path once: the last one's, as with layers."""
    return list({file.path: file for one in installed for file in one.files}.values())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
