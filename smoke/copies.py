"""Second copies: of a distribution, and of a module that comes from elsewhere than its distribution says."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import site
import sys
from typing import Iterable

_CODE = (".py", ".so")


def base(entry: tuple[str, str, str]) -> str:
    """The folder that a distribution is installed in."""
    return os.path.dirname(entry[2])


def second(every: Iterable[tuple[str, str, str]], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(distributions that are twice in one folder, those of which a later folder has another copy), in words."""
    first: dict[str, tuple[str, str, str]] = {}
    twice, shadowed = [], []
    for entry in every:
        name, version, _ = entry
        if name not in names:
            continue
        if name not in first:
            first[name] = entry
        elif base(entry) == base(first[name]):
            versions = f"{first[name][1]} and {version}"
            twice.append(
                f"{name} is installed twice in {base(entry)}, as {versions}: pip uninstall {name} until none is left, "
                "then install one"
            )
        else:
            shadowed.append(f"{name} {version} in {base(entry)} ({origin(base(entry))})")
    return twice, shadowed


def strangers(every: Iterable[tuple[str, str, str]], names: Iterable[str]) -> list[str]:
    """Modules that are imported from elsewhere than their distribution's folder, in words.

    Not of a distribution that is installed in editable mode, which says so, nor of one whose module the standard
    library has by now.
    """
    found, seen = [], set()
    for entry in every:
        name, version, folder = entry
        if name not in names or name in seen:
            continue
        seen.add(name)
        if _editable(folder):
            continue
        for module in modules(folder):
            place = imported(module)
            if place and place != os.path.realpath(base(entry)) and not _standard(place):
                found.append(
                    f"{module} is imported from {place} ({origin(place)}), and {name} {version} is installed in "
                    f"{base(entry)}: take away the one that is not wanted"
                )
    return found


def modules(folder: str) -> list[str]:
    """Top-level modules and packages that a metadata folder's RECORD names; none where it has no RECORD."""
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8", errors="replace", newline="") as stream:
            paths = [row[0] for row in csv.reader(stream) if row]
    except (OSError, csv.Error):
        return []
    found: dict[str, None] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        if slash and rest == "__init__.py":
            found[first] = None
        elif not slash and path.endswith(_CODE):
            found[path.partition(".")[0]] = None
    return [name for name in found if name.isidentifier()]


def imported(module: str) -> str:
    """The folder that a top-level module would be imported from, nothing of it run; "" where it cannot be told."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return ""
    origin = spec.origin if spec else None
    if not origin or not os.path.isabs(origin):
        return ""
    folder = os.path.dirname(origin)
    return os.path.realpath(os.path.dirname(folder) if spec and spec.submodule_search_locations else folder)


def origin(folder: str) -> str:
    """What puts a folder on sys.path, in words."""
    real = os.path.realpath(folder)
    if real in {os.path.realpath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part}:
        return "by PYTHONPATH"
    if real == os.path.realpath(site.getusersitepackages()):
        return "installed with --user"
    if real.startswith(os.path.realpath(sys.prefix) + os.sep):
        return "of this environment"
    return "of the system" if real.startswith("/usr/") else "on sys.path"


def _editable(folder: str) -> bool:
    try:
        with open(os.path.join(folder, "direct_url.json"), encoding="utf-8") as stream:
            return bool(json.load(stream)["dir_info"]["editable"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _standard(place: str) -> bool:
    library = os.path.realpath(os.path.dirname(os.__file__))
    return place in (library, os.path.join(library, "lib-dynload"))
