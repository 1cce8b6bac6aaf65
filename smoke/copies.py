"""Second copies: of a distribution, and of a module that comes from elsewhere than its distribution says."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import site
import sys
from typing import Any, Iterable

from smoke import distributions

_CODE = (".py", ".so")
#: The distributions that put a framework's package on the path.
PROVIDERS = {
    "torch": ("torch",),
    "tensorflow": (
        "tensorflow",
        "tensorflow-cpu",
        "tensorflow-gpu",
        "tensorflow-intel",
        "tensorflow-rocm",
        "intel-tensorflow",
        "nvidia-tensorflow",
        "tf-nightly",
    ),
}


def seen(module: str) -> dict[str, Any]:
    """What there is of a framework (torch, tensorflow) and of all that it needs, more than once.

    "providers" and "others": [{"name", "version", "folder", "from", "cuda"}] of the distributions in the first one's
    folder, of which there should be one, and of those in later folders, which are not imported; "cuda" is whether it
    brings torch's CUDA library. "twice" and "strangers": what is wrong, in words; "shadowed": what is not used.
    """
    every = list(distributions.folders())
    found = [entry for entry in every if entry[0] in PROVIDERS[module]]
    if not found:
        return {"providers": [], "others": [], "twice": [], "strangers": [], "shadowed": []}
    needed = {who for who, _ in distributions.required(found[0][0])} | {"numpy"}
    twice, shadowed = second(every, needed | set(PROVIDERS[module]))
    # Of those in one folder the files are mixed; in another folder a second one is only shadowed.
    beside = [entry for entry in found if base(entry) == base(found[0])]
    return {
        "providers": [_described(entry) for entry in beside],
        "others": [_described(entry) for entry in found if entry not in beside],
        "twice": twice,
        "strangers": strangers(every, needed),
        "shadowed": shadowed,
    }


def _described(entry: tuple[str, str, str]) -> dict[str, Any]:
    folder = base(entry)
    cuda = os.path.exists(os.path.join(folder, "torch", "lib", "libtorch_cuda.so"))
    return {"name": entry[0], "version": entry[1], "folder": folder, "from": origin(folder), "cuda": cuda}


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
    """Top-level modules and packages that a distribution's RECORD, else its top_level.txt, names; none without both."""
    try:
        with open(os.path.join(folder, "RECORD"), encoding="utf-8", errors="replace", newline="") as stream:
            paths = [row[0] for row in csv.reader(stream) if row]
    except (OSError, csv.Error):
        return [name for name in _top_level(folder) if name.isidentifier()]
    found: dict[str, None] = {}
    for path in paths:
        first, slash, rest = path.partition("/")
        if slash and rest == "__init__.py":
            found[first] = None
        elif not slash and path.endswith(_CODE):
            found[path.partition(".")[0]] = None
    return [name for name in found if name.isidentifier()]


def _top_level(folder: str) -> list[str]:
    """The names of top_level.txt whose code lies beside it: a package's own, not a namespace of several."""
    try:
        with open(os.path.join(folder, "top_level.txt"), encoding="utf-8", errors="replace") as stream:
            names = stream.read().split()
    except OSError:
        return []
    beside = os.path.dirname(folder)
    places = {name: (os.path.join(beside, name, "__init__.py"), os.path.join(beside, name + ".py")) for name in names}
    return [name for name in names if any(map(os.path.exists, places[name]))]


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
