"""An installation taken apart: which file of a virtual environment came with which distribution.

uv installs with its files as links into its cache, so that nothing is copied; what it writes itself (RECORD, scripts)
lies in the environment. Everything is read here as it is to be in an image: below another prefix, for another Python.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dlmatrix.errors import BuildError
from dlmatrix.layers.record import record_rows

#: Where an env lies in its image.
PREFIX = "opt/venv"
#: The interpreter that the first line of a script names.
_PROGRAM = b"/opt/venv/bin/python"
#: uv notes here when it first saw a wheel that came from a folder.
_NOTES = "uv_cache.json"
_REPORT = "the wheel is broken, or means harm: tell whoever made it, and lock another version"
#: Held by uv while it installs.
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a distribution, or an empty folder: its place below PREFIX."""

    path: str
    #: the content, or where it lies; None: a folder
    content: Path | bytes | None
    executable: bool

    def size(self) -> int:
        """Bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content or b"")

    def read(self) -> bytes:
        """The whole content."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content or b""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The files of one distribution, and the digest that its RECORD has of each, where it has one."""

    files: tuple[File, ...]
    sums: Mapping[str, str]


def take_apart(venv: Path, before: frozenset[str], python: str) -> dict[str, Installed]:
    """The distributions of an environment, by the names of their .dist-info folders.

    ``before`` is what was in it when it was empty; ``python`` (X.Y) is the image's. Raises BuildError for a file that
    no distribution is known to have brought: an image without it would be another than uv installs; and for a RECORD
    that is none, or names a file outside of the environment, which is this machine's and nobody's to have in an image.
    """
    (packages,) = venv.glob("lib/python*/site-packages")
    here = packages.parent.name
    there = f"python{python}"
    left = {name for name in all_files(venv) if name not in before and name != _LOCK}
    found: dict[str, Installed] = {}
    roots: dict[str, Path] = {}
    claimed: dict[str, dict[str, str]] = {}
    for info in sorted(packages.glob("*.dist-info")):
        name = info.name.removesuffix(".dist-info").rpartition("-")[0]
        roots[name] = (info / "METADATA").resolve().parents[1]
        claimed[name] = {path: digest for path, digest in _claimed(venv, info) if path not in before}
        left -= claimed[name].keys()
    for path in sorted(left):
        target = os.path.realpath(venv / path)
        claimed[_owner(path, (name for name, root in roots.items() if target.startswith(f"{root}/")))][path] = ""
    folders: dict[str, list[File]] = {name: [] for name in claimed}
    for path in sorted(_empty_folders(packages)):
        owner = _owner(path, (name for name, root in roots.items() if (root / path).is_dir()))
        where = f"lib/{there}/site-packages/{path}"
        folders[owner].append(File(path=where, content=None, executable=True))
    prefix, inside = str(venv), packages.relative_to(venv).as_posix()
    elsewhere = re.compile(rf"^(lib|include/site)/{re.escape(here)}/")
    for name, sums in claimed.items():
        files, final = folders[name], {}
        for path, digest in sums.items():
            source = _source(prefix, path, inside, str(roots[name]))
            if path.rpartition("/")[2] == _NOTES or not os.path.isfile(source):
                continue
            where = elsewhere.sub(rf"\1/{there}/", path)
            final[where] = digest
            files.append(_file(where, source, venv))
        found[name] = Installed(files=tuple(_with_record(files, here, there)), sums=final)
    return found


def _owner(path: str, owners: Iterable[str]) -> str:
    if (owner := next(iter(owners), None)) is None:
        raise BuildError(f"{path}: no locked distribution is known to have brought it", "report this as a bug")
    return owner


def _empty_folders(packages: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(packages):
        if not folders and not names:
            yield os.path.relpath(parent, packages)


def all_files(folder: Path) -> Iterator[str]:
    """The paths, in a folder, of all that are no folders."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        inside = os.path.relpath(parent, folder)
        for name in [*names, *links]:
            yield name if inside == os.curdir else f"{inside}/{name}"


def _claimed(venv: Path, info: Path) -> Iterator[tuple[str, str]]:
    packages = os.path.relpath(info.parent, venv)
    try:
        rows = record_rows((info / "RECORD").read_bytes().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(f"{info.name}: its RECORD cannot be read: {error}", _REPORT) from None
    for row in rows:
        path = os.path.normpath(os.path.join(packages, row[0]))
        path = os.path.relpath(path, venv) if os.path.isabs(path) else path
        if path.partition("/")[0] == os.pardir or "\0" in path:
            what = f"{info.name}: its RECORD names {row[0][:200]!r}, which is not in the environment"
            raise BuildError(what, _REPORT)
        yield path, row[1] if len(row) > 1 else ""


def _source(venv: str, path: str, packages: str, root: str) -> str:
    """Where a file of a distribution really lies, whose wheel is unpacked at ``root``.

    Where two bring one path, only one of them is in the environment: it is then taken from the wheel itself.
    """
    file = f"{venv}/{path}"
    if not os.path.islink(file):
        return file
    folder, _, name = os.readlink(file).rpartition("/")
    target = f"{_real(folder)}/{name}"
    if not folder.startswith("/") or os.path.islink(target):
        target = os.path.realpath(file)
    if path.startswith(f"{packages}/") and not target.startswith(f"{root}/"):
        own = root + path.removeprefix(packages)
        return own if os.path.isfile(own) else target
    return target


@functools.lru_cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _file(path: str, source: str, venv: Path) -> File:
    about = os.stat(source)
    executable = bool(about.st_mode & 0o111)
    written = source.startswith(f"{venv}/")
    if written and (path.startswith("bin/") or about.st_size < 1 << 20):
        # What uv wrote goes away with the environment; what it linked stays where it is.
        text = Path(source).read_bytes()
        return File(path=path, content=_script(text, venv) if path.startswith("bin/") else text, executable=executable)
    return File(path=path, content=Path(source), executable=executable)


def _script(text: bytes, venv: Path) -> bytes:
    """A script with the image's interpreter in its first line, which uv writes in two ways."""
    program = re.escape(os.fsencode(venv / "bin")) + rb"/python[\d.]*"
    plain = re.sub(rb"\A#!" + program + rb"(?=\s)", lambda _: b"#!" + _PROGRAM, text)
    return re.sub(
        rb"\A#!/bin/sh\n'''exec' [\"']?" + program + rb"[\"']? \"\$0\" \"\$@\"\n' '''\n",
        lambda _: b"#!" + _PROGRAM + b"\n",
        plain,
    )


def _with_record(files: list[File], here: str, there: str) -> Iterator[File]:
    """The files, the RECORD saying of each what it is now."""
    scripts = {f"../../../{file.path}": file.read() for file in files if file.path.startswith("bin/")}
    for file in files:
        if not file.path.endswith(".dist-info/RECORD"):
            yield file
            continue
        lines = []
        for line in file.read().decode().splitlines(keepends=True):
            path = next(iter(record_rows(line)), [""])[0]
            if path.endswith(f".dist-info/{_NOTES}"):
                continue
            if path in scripts:
                line = f"{path},sha256={_sum(scripts[path])},{len(scripts[path])}\n"  # noqa: PLW2901
            lines.append(line.replace(f"../../../include/site/{here}/", f"../../../include/site/{there}/"))
        yield File(path=file.path, content="".join(lines).encode(), executable=file.executable)


def _sum(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
