"""Rebuilds images and bases from nothing, and says whether the bits are those of another build.

The two builds share no layer and no download. The second is made later, in reverse order, from a
copy of the checkout in another folder, with the modes of another umask and with other dates.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.wheels import Workshop
from dlmatrix.errors import EXIT_SKIPPED, DlmatrixError, SkippedEnv, UsageError
from dlmatrix.inspection import digests
from dlmatrix.inspection.digests import Identity, Made, Record
from dlmatrix.inspection.imagediff import Image, compare, read_image
from dlmatrix.layers.cache import Cache
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Base, Env, Matrix, Status
from dlmatrix.matrix.plan import Limits, make_plan
from dlmatrix.system.state import checkout_id
from dlmatrix.system.working import alive, scratch
from dlmatrix.upkeep.bases import make_base

#: The copy's dates and modes: those of an old checkout under umask 077.
_OLD, _FILE_MODE, _FOLDER_MODE = 1_000_000_000, 0o600, 0o700

Tell = Callable[[str], None]
#: What can be rebuilt.
Thing = Env | Base


@dataclass(frozen=True, kw_only=True)
class Built:
    """One build from nothing."""

    tag: str
    identity: Identity
    inputs: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one went. ``exit_code``: 0 the same, 1 not the same, 77 not compared, else the failure's own."""

    name: str
    exit_code: int
    text: str


class Rebuilding:
    """Builds under names of its own, which are gone, with the downloads, when it is left."""

    def __init__(self, engine: DockerEngine, matrix: Matrix, made: Made, tell: Tell, run: str) -> None:
        self._engine, self._matrix, self._made, self._tell = engine, matrix, made, tell
        self._checkout = f"dlmatrix-reproduce-{checkout_id(matrix.root)}-"
        self._name = f"{self._checkout}{run}"
        self._tags: list[str] = []
        #: what was the same twice
        self.proven: dict[str, Record] = {}
        #: the lists of Debian packages, with versions, of the bases that were made
        self.packages: dict[str, str] = {}

    def __enter__(self) -> Rebuilding:
        for name, tags in self._engine.images.below(self._checkout).items():
            if not alive(self._matrix.root, name.removeprefix(self._checkout)):
                self._remove(name, tags)
        return self

    def __exit__(self, *_: object) -> None:
        self._remove(self._name, self._tags)

    def _remove(self, name: str, tags: Sequence[str]) -> None:
        for tag in tags:
            self._engine.images.remove(tag)
        self._engine.images.prune_cache(name)

    def twice(self, things: Sequence[Thing], records: Mapping[str, Record]) -> list[Verdict]:
        """Build everything, and then everything again, otherwise; compare, explain, and compare with the record."""
        first = {name_of(thing): self._rebuild(self._matrix, thing, 1) for thing in things}
        return self._again(things, first, records)

    def against_image(self, things: Sequence[Thing], records: Mapping[str, Record]) -> list[Verdict]:
        """Build everything once, otherwise, and compare with the images that this checkout has on the engine."""
        first = {name_of(thing): _tried(thing, self._found) for thing in things}
        return self._again(things, first, records)

    def _again(
        self, things: Sequence[Thing], first: Mapping[str, Built | Verdict], records: Mapping[str, Record]
    ) -> list[Verdict]:
        with elsewhere(self._matrix.root) as root:
            second = {name_of(thing): self._rebuild(load_matrix(root), thing, 2) for thing in reversed(things)}
        return [self._say(self._compare(name, first[name], second[name], records.get(name))) for name in first]

    def against_record(self, things: Sequence[Thing], records: Mapping[str, Record]) -> list[Verdict]:
        """Build everything once, and compare with the record."""
        verdicts = []
        for thing in things:
            built, name = self._rebuild(self._matrix, thing, 1), name_of(thing)
            if isinstance(built, Verdict):
                verdicts.append(self._say(built))
                continue
            found = digests.compare(records.get(name), built.identity, lambda: self._made, built.inputs)
            code = {digests.SAME: 0, digests.DIFFERS: 1}.get(found.word, EXIT_SKIPPED)
            verdicts.append(self._say(Verdict(name=name, exit_code=code, text=str(found))))
        return verdicts

    def _rebuild(self, matrix: Matrix, thing: Thing, number: int) -> Built | Verdict:
        tag = f"{self._name}:{name_of(thing)}-{number}"

        def make(thing: Thing) -> Built:
            started = time.perf_counter()
            self._tell(f"{name_of(thing)}: build {number}, from nothing")
            self._tags.append(tag)
            made = self._make_base if isinstance(thing, Base) else self._build
            identity, inputs = made(matrix, thing, tag)  # type: ignore[arg-type]
            return Built(tag=tag, identity=identity, inputs=inputs, seconds=time.perf_counter() - started)

        return _tried(thing, make)

    def _found(self, thing: Thing) -> Built:
        """What is on the engine; a run built it, maybe with caches."""
        if isinstance(thing, Base):
            tag, there = thing.debian_tag, self._engine.image_id(thing.debian_tag) is not None
            remedy, inputs = "python -m dlmatrix bases", dict[str, str]()
        else:
            plan = make_plan(self._matrix, thing, lock_of(self._matrix, thing), metadata.version("uv"), Limits())
            base = self._engine.choose_base(plan.base)
            tag, there = thing.tag, self._engine.up_to_date(plan, base) is not None
            remedy, inputs = f"python -m dlmatrix run {thing.name}", plan.inputs(base)
        if not there:
            raise UsageError(f"{tag} is not on the engine as this checkout builds it", f"build it: {remedy}")
        return Built(tag=tag, identity=self._engine.images.identity(tag), inputs=inputs, seconds=0.0)

    def _make_base(self, matrix: Matrix, base: Base, tag: str) -> tuple[Identity, dict[str, str]]:
        """A base needs no cache: mmdebstrap starts from nothing, and its tar is new to BuildKit only if it differs."""
        listed = make_base(matrix.root, base, lambda line: None, tag).read_bytes()
        self.packages[name_of(base)] = listed.decode()
        recipe = "\n".join((matrix.root / "docker" / name).read_text() for name in ("make-base", "base.Dockerfile"))
        inputs = {"packages": listed, "recipe": f"{recipe}{base.debian}".encode()}
        return self._engine.images.identity(tag), {k: hashlib.sha256(v).hexdigest() for k, v in inputs.items()}

    def _build(self, matrix: Matrix, env: Env, tag: str) -> tuple[Identity, dict[str, str]]:
        plan = make_plan(matrix, env, lock_of(matrix, env), metadata.version("uv"), Limits())
        base = self._engine.choose_base(plan.base)
        with scratch(plan.root) as folder:
            file = folder / "metadata.json"
            # BuildKit empties the cache mounts of a build without cache: these are not everybody's.
            extra = ("--no-cache", "--build-arg", f"BUILDKIT_CACHE_MOUNT_NS={self._name}", "--metadata-file", str(file))
            workshop = Workshop(cache=Cache(folder / "layers"), downloads=folder / "downloads", extra=extra)
            self._engine.build(plan, base, lambda line: None, tag=tag, workshop=workshop)
            said = json.loads(file.read_text(encoding="utf-8"))
        return self._engine.images.identity(tag, said.get("containerimage.config.digest", "")), plan.inputs(base)

    def _compare(self, name: str, one: Built | Verdict, two: Built | Verdict, record: Record | None) -> Verdict:
        for built in (one, two):
            if isinstance(built, Verdict):
                return built
        assert isinstance(one, Built)  # noqa: S101 - tells mypy what the loop has seen to
        assert isinstance(two, Built)  # noqa: S101
        if different := digests.difference(one.identity, two.identity):
            return Verdict(
                name=name, exit_code=1, text="\n  ".join([f"differs: {different}", *self._explain(one, two)])
            )
        self.proven[name] = Record(identity=one.identity, made=self._made, inputs=two.inputs)
        found = digests.compare(record, one.identity, lambda: self._made, two.inputs)
        what = one.identity.manifest or one.identity.config
        seconds = ", ".join(f"{built.seconds:.1f} s" for built in (one, two) if built.seconds)
        how = f"{digests.compared(one.identity, two.identity)}; {seconds}"
        text = f"same twice: {what} ({how}); {found}"
        return Verdict(name=name, exit_code=int(found.word == digests.DIFFERS), text=text)

    def _explain(self, one: Built, two: Built) -> list[str]:
        """The differences, from exports that need room for one image at a time."""
        found = compare(self._read(one), self._read(two))
        return [str(difference) for difference in found] or ["equal layers and config: another compressor"]

    def _read(self, built: Built) -> Image:
        with scratch(self._matrix.root) as folder:
            return read_image(self._engine.images.export(built.tag, folder))

    def _say(self, verdict: Verdict) -> Verdict:
        self._tell(f"{verdict.name}: {verdict.text}")
        return verdict


def _tried(thing: Thing, make: Callable[[Thing], Built]) -> Built | Verdict:
    """What ``make`` gives, or why it gives nothing."""
    try:
        if isinstance(thing, Env) and thing.status is Status.IMPOSSIBLE:
            raise SkippedEnv(thing.reason)
        return make(thing)
    except DlmatrixError as error:
        word = "skipped" if isinstance(error, SkippedEnv) else "error"
        return Verdict(name=name_of(thing), exit_code=error.exit_code, text=f"{word}: {error}")


def write_proven(root: Path, work: Rebuilding, records: Mapping[str, Record]) -> Path:
    """Record what was the same twice, beside what is on record; returns the file."""
    file = digests.write_records(root, {**records, **work.proven})
    for name in work.packages.keys() & work.proven.keys():
        listed = root / "envs" / "bases" / f"{name}.txt"
        listed.parent.mkdir(exist_ok=True)
        listed.write_text(work.packages[name], encoding="utf-8")
    return file


def name_of(thing: Thing) -> str:
    """Its name in the record and on the command line."""
    return thing.name if isinstance(thing, Env) else f"base-{thing.python}"


def things_of(matrix: Matrix, name: str) -> Sequence[Thing]:
    """What a name of the command line stands for. Raises UsageError for one that does not exist."""
    return [base for base in matrix.bases if name == name_of(base)] or select(matrix, [name])


@contextmanager
def elsewhere(root: Path) -> Iterator[Path]:
    """A copy of what builds read, in another folder, with the modes of another umask and old dates."""
    with scratch(root) as folder:
        copy = folder / "another" / "checkout"
        for name in ("docker", "envs", "smoke"):
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in copy.rglob("*"):
            path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE | (path.stat().st_mode & 0o100))
            os.utime(path, (_OLD, _OLD))
        yield copy
