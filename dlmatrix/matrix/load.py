"""Turns envs/ into a Matrix, and refuses anything it does not know."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dlmatrix.errors import ConfigError, UsageError
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import Base, DebianRecipe, Env, KnownWheel, Lock, Matrix, Status
from dlmatrix.system.toml import Table, read_toml

SERIES = ("torch", "tf2", "tf1", "tf1-compat")
VARIANTS = ("cpu", "gpu")
_UTC_TIME = "%Y-%m-%dT%H:%M:%SZ"
#: Megabytes that no image has.
_MOST_MB = 1_000_000
#: Files in envs/ that describe no framework version.
_OTHER_FILES = ("bases.toml", "compatibility.toml", "digests.toml")


def load_matrix(root: Path) -> Matrix:
    """Read every file of envs/. Raises ConfigError naming the file and the key."""
    matrix = load_sound(root)
    for error in matrix.broken.values():
        raise error
    return matrix


def load_sound(root: Path) -> Matrix:
    """The same for what works on named envs: a version's file that is not understood stops that version alone.

    Raises ConfigError where it is that of the bases.
    """
    bases = _load_bases(root / "envs" / "bases.toml")
    pythons = {base.python for base in bases}
    envs: list[Env] = []
    broken: dict[str, ConfigError] = {}
    for file in sorted((root / "envs").glob("*.toml"), key=_by_series_and_version):
        if file.name not in _OTHER_FILES:
            try:
                envs.extend(_load_version(file, pythons))
            except ConfigError as error:
                broken[file.stem] = error
    return Matrix(root=root, envs=tuple(envs), bases=bases, broken=broken)


def select(matrix: Matrix, names: Iterable[str]) -> tuple[Env, ...]:
    """The envs of these names; a session's name (``cpu-torch``) stands for its newest supported version.

    Raises UsageError, with the nearest name, for one that does not exist.
    """
    return tuple(dict.fromkeys(_one(matrix, name) for name in names))


def versions_of(matrix: Matrix, session: str) -> tuple[Env, ...]:
    """The envs that a session's name can stand for, the newest last: the supported ones, where there are any.

    Raises the ConfigError of a file that would have a say in it.
    """
    for stem, error in matrix.broken.items():
        if session.partition("-")[2] == stem.rpartition("-")[0]:
            raise error
    versions = tuple(env for env in matrix.envs if env.session == session)
    return tuple(env for env in versions if env.status is Status.SUPPORTED) or versions


def _one(matrix: Matrix, name: str) -> Env:
    if error := matrix.broken.get(name.partition("-")[2]):
        raise error
    by_name = {env.name: env for env in matrix.envs}
    if name in by_name:
        return by_name[name]
    if versions := versions_of(matrix, name):
        return versions[-1]
    near = _nearest(matrix, name)
    hint = f"did you mean {', or '.join(near)}? " if near else ""
    raise UsageError(f"there is no env named {name}", f"{hint}`python -m dlmatrix list` shows them all")


def _nearest(matrix: Matrix, name: str) -> list[str]:
    """What was most likely meant: a name without its variant is a cpu env's; of versions those on both sides."""
    name = name.replace("_", "-")
    variant, _, rest = name.partition("-") if name.startswith(("cpu-", "gpu-")) else ("cpu", "", name)
    envs = [env for env in matrix.envs if env.variant == variant]
    series, _, version = rest.rpartition("-")
    versions = [env for env in envs if env.series == series and env.status is not Status.IMPOSSIBLE]
    if versions and re.fullmatch(r"\d+(\.\d+)*", version):
        return _neighbours(versions, version)
    names = [name.removeprefix(f"{variant}-") for env in envs for name in (env.name, env.session)]
    return [f"{variant}-{near}" for near in difflib.get_close_matches(rest, names, n=1, cutoff=0.4)]


def _neighbours(envs: Sequence[Env], version: str) -> list[str]:
    """The env that a longer version begins with, else those of the next newer and the next older one."""
    if same := [env.name for env in envs if version.startswith(env.short)]:
        return [max(same, key=len)]
    wanted = _numbers(version)
    newer = min(
        (env for env in envs if _numbers(env.short) > wanted), key=lambda env: _numbers(env.short), default=None
    )
    older = max(
        (env for env in envs if _numbers(env.short) < wanted), key=lambda env: _numbers(env.short), default=None
    )
    return [env.name for env in (newer, older) if env]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def lock_of(matrix: Matrix, env: Env) -> Lock:
    """The parsed lock of an env. Raises ConfigError for one that does not satisfy what the env's file asks for."""
    from dlmatrix.matrix.agreement import unmet  # noqa: PLC0415 - packaging, which what reads no lock does not need

    relock = f"nox -s lock -- {env.name} --write"
    lock = read_lock(matrix.root / "envs" / "locks" / f"{env.name}.txt", relock)
    if missing := unmet(env, lock):
        what = f"{lock.file}: does not satisfy {env.file.name}: {'; '.join(missing)}"
        raise ConfigError(what, f"generate it again: {relock}")
    return lock


def wrong_locks(matrix: Matrix) -> list[ConfigError]:
    """What is wrong with the locks that there are, an error each."""
    found = []
    for env in matrix.envs:
        if env.status is not Status.IMPOSSIBLE and (matrix.root / "envs" / "locks" / f"{env.name}.txt").exists():
            try:
                lock_of(matrix, env)
            except ConfigError as error:
                found.append(error)
    return found


def _load_version(file: Path, pythons: set[str]) -> list[Env]:
    table = Table(file, "", read_toml(file))
    series, version = table.take("series", str), table.take("version", str)
    python, newest = table.take("python", str), table.take("exclude-newer", str)
    if series not in SERIES:
        table.fail("series", f"{series!r} is not one of {', '.join(SERIES)}", "correct it")
    if not re.fullmatch(r"\d+(\.\d+)+", version):
        table.fail("version", f"{version!r} is no release", "write it like 2.13.0")
    short = file.stem.removeprefix(f"{series}-")
    if not file.stem.startswith(f"{series}-") or not (version == short or version.startswith(f"{short}.")):
        table.fail(
            "version",
            f"{series} {version} does not fit the file's name",
            f"name the file {series}-{version.rpartition('.')[0]}.toml",
        )
    if python not in pythons:
        table.fail("python", f"no base for {python!r}", "add it to envs/bases.toml")
    if not _is_utc_time(newest):
        table.fail("exclude-newer", f"{newest!r} is no UTC time", "write it like 2026-11-01T00:00:00Z")
    cells = {variant: table.take(variant, dict) for variant in VARIANTS}
    table.done()
    return [
        _load_cell(
            Table(file, f"{variant}.", cell),
            series=series,
            short=short,
            variant=variant,
            version=version,
            python=python,
            exclude_newer=newest,
        )
        for variant, cell in cells.items()
    ]


def _load_cell(table: Table, **common: str) -> Env:
    word = table.take("status", str, Status.SUPPORTED.value)
    if word not in (status.value for status in Status):
        table.fail("status", f"{word!r} is not one of {', '.join(Status)}", "correct it")
    status = Status(word)
    reason = "" if status is Status.SUPPORTED else table.take("reason", str)
    possible = status is not Status.IMPOSSIBLE
    env = Env(
        **common,
        requirements=table.strings("requirements") if possible else (),
        constraints=table.strings("constraints", ()) if possible else (),
        build_requirements=table.strings("build-requirements", ()) if possible else (),
        wheels=_load_wheels(table) if possible else (),
        size_budget_mb=_budget(table) if possible else 0,
        status=status,
        reason=reason,
        file=table.file,
    )
    table.done()
    if possible and env.pin.partition("+")[0] != env.version:
        table.fail(
            "requirements", f"the first must pin the framework to {env.version}", f"write it like torch=={env.version}"
        )
    return env


def _budget(table: Table) -> int:
    budget = int(table.take("size-budget-mb", int))
    if not 0 < budget < _MOST_MB:
        table.fail("size-budget-mb", f"{budget} is no size of an image", f"write it from 1 to {_MOST_MB - 1}")
    return budget


def _is_utc_time(text: str) -> bool:
    try:
        # strptime alone would take 2026-1-1 too.
        return datetime.datetime.strptime(text, _UTC_TIME).strftime(_UTC_TIME) == text
    except ValueError:
        return False


def _load_wheels(cell: Table) -> tuple[KnownWheel, ...]:
    wheels = []
    for number, data in enumerate(cell.take("wheels", list, []), 1):
        if not isinstance(data, dict):
            cell.fail("wheels", "must be an array of tables", f"write each as [[{cell.path}wheels]]")
        table = Table(cell.file, f"{cell.path}wheels[{number}].", data)
        file, sha256 = table.take("file", str), table.take("sha256", str)
        if not re.fullmatch(r"[\w.+-]+\.whl", file):
            table.fail("file", f"{file!r} is no wheel's file name", "correct it")
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            table.fail("sha256", f"{sha256!r} is no sha256", "write its 64 hexadecimal digits")
        wheels.append(KnownWheel(file=file, sha256=sha256, requires=table.strings("requires")))
        table.done()
    return tuple(wheels)


def _load_bases(file: Path) -> tuple[Base, ...]:
    top = Table(file, "", read_toml(file))
    pythons = top.take("python", dict)
    top.done()
    if not pythons:
        top.fail("python", "has no base", "restore it from git")
    return tuple(_load_base(top, python, data) for python, data in pythons.items())


def _load_base(top: Table, python: str, data: Any) -> Base:
    where = f'python."{python}"'
    if not isinstance(data, dict):
        top.fail(where, "must be a table", "correct it")
    if not re.fullmatch(r"3\.\d{1,3}", python):
        top.fail(where, f"{python!r} is no Python", "write it like 3.11")
    table = Table(top.file, f"{where}.", data)
    image = table.take("image", str)
    if not re.fullmatch(r"[a-z0-9./_-]+@sha256:[0-9a-f]{64}", image):
        table.fail("image", f"{image!r} is not pinned by digest", "write it as name@sha256:…")
    recipe = Table(top.file, f"{where}.debian.", table.take("debian", dict))
    table.done()
    debian = DebianRecipe(
        suite=recipe.take("suite", str),
        packages=recipe.strings("packages"),
        copy_interpreter=recipe.take("copy-interpreter", bool, False),
    )
    recipe.done()
    return Base(python=python, image=image, debian=debian)


def _by_series_and_version(file: Path) -> tuple[str, tuple[int, ...]]:
    series, _, short = file.stem.rpartition("-")
    return series, _numbers(short)
