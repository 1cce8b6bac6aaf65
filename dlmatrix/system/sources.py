"""What a result was made by: the modules and data files behind it, found from their imports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: Expressions, since a syntax tree of forty modules takes a tenth of a second, in each run.
_FROM = re.compile(r"^\s*from ([\w.]+) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_WORD = re.compile(r"\w+")
_NAMED = re.compile(r'"([\w-]+\.(?:toml|json))"')


def made_by(modules: Iterable[str], data: Path | None = None, package: Path = _PACKAGE) -> str:
    """One digest over modules of this package, all that they import of it, and the data files that they name.

    A kept result whose key holds it is made anew once any of them has changed. Data files are those that a string in
    a module names and that lie beside it or in the folder ``data`` (envs/).
    """
    digest = hashlib.sha256()
    for file in sorted(reached(modules, data, package)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def reached(modules: Iterable[str], data: Path | None = None, package: Path = _PACKAGE) -> set[Path]:
    """The files of modules of this package, of all that they import of it, and of the data that they name."""
    seen: set[Path] = set()
    waiting = [file for name in modules for file in _file(name, package)]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        if file.suffix == ".py":
            text = file.read_text(encoding="utf-8")
            waiting += [found for name in _imports(text) for found in _file(name, package)]
            waiting += _data(text, [file.parent, *([data] if data else [])])
    return seen


def _imports(text: str) -> Iterator[str]:
    for module, names in _FROM.findall(text):
        yield module
        yield from (f"{module}.{name}" for name in _WORD.findall(names))


def _file(name: str, package: Path) -> Iterator[Path]:
    """The file of a module of this package; of a name that is none, nothing."""
    first, *rest = name.split(".")
    if first == package.name:
        place = package.joinpath(*rest)
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def _data(text: str, folders: Iterable[Path]) -> Iterator[Path]:
    for name in set(_NAMED.findall(text)):
        yield from (folder / name for folder in folders if (folder / name).is_file())
