"""Finds, without a GPU and without running anything, the libraries that an installation will miss.

Every shared object below site-packages that something loads is held against what the dynamic loader would
find, and so are the libraries that frameworks open by name; what only the host's driver brings is set apart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlmatrix.inspection.finding import Finding, Suggest
from dlmatrix.inspection.guards import baked_driver, cpu_guard
from dlmatrix.inspection.libraries import FrameworkOpens, Libraries
from dlmatrix.inspection.loader import Place, Search
from dlmatrix.inspection.reach import Question, Reach, is_module
from dlmatrix.inspection.records import Distribution, recorded_objects
from dlmatrix.matrix.compatibility import Build, family
from dlmatrix.matrix.model import Env, Lock

#: The name of a library, and the packages whose programs hold it.
Quoted = dict[str, set[str]]


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What was looked at and what was found."""

    #: how many shared objects were looked at
    objects: int
    #: the paths of those that nothing loads
    unloaded: tuple[str, ...]
    #: sonames that the host's driver must bring
    driver: tuple[str, ...]
    findings: tuple[Finding, ...]
    #: what was left out of the findings, and why
    notes: tuple[str, ...]

    @property
    def loaded(self) -> int:
        """How many of the objects something loads."""
        return self.objects - len(self.unloaded)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is there that must not be."""
        return not self.findings


def check_closure(place: Place, env: Env, libraries: Libraries, build: Build | None, lock: Lock | None) -> Closure:
    """Check one installed env. ``build`` is its row of the compatibility table; ``lock`` names exact wheels."""
    search = Search(place)
    suggest = Suggest(libraries, build.cuda_major if build else "", lock)
    objects = {p: o for p in search.objects if (o := place.filesystem.shared_object(p))}
    reach = Reach(search=search, objects=objects)
    folders = {posixpath.join(place.site_packages, folder) for folder in libraries.folders}
    reach.start(p for p, wants in objects.items() if is_module(p, wants) or posixpath.dirname(p) in folders)
    gpu = env.variant == "gpu"
    rules = [rule for rule in libraries.frameworks if gpu and rule.covers(family(env), env.version)]
    findings = [_no_framework(rule) for rule in rules if not rule.opener(objects)]
    unopened = [question for rule in rules for question in _framework_opens(reach, rule)]
    quoted = _quoted(place)
    reach.open(quoted)
    missing, driver, notes = _missing(reach, libraries)
    found: dict[str, str] = {}
    for soname, by in [*missing, *unopened]:
        found.setdefault(soname, by)
    findings += [suggest.missing(search, soname, by) for soname, by in found.items()]
    brought = recorded_objects(place)
    findings += _gone(place, brought, quoted)
    for more, why in (_named(reach, libraries, brought), _mixed(reach, libraries, brought)):
        findings += more
        notes += why
    unloaded = reach.unloaded()
    notes += _not_checked(reach, unloaded, libraries)
    findings += baked_driver(place, libraries)
    if not gpu:
        guard, excused = cpu_guard(place, libraries, env)
        findings += guard
        notes += excused
    return Closure(
        objects=len(objects),
        unloaded=tuple(unloaded),
        driver=tuple(sorted(driver)),
        findings=tuple({finding.what: finding for finding in reversed(findings)}.values())[::-1],
        notes=tuple(dict.fromkeys(notes)),
    )


def _framework_opens(reach: Reach, rule: FrameworkOpens) -> Iterator[Question]:
    """Load what a framework opens when it looks for a GPU; what is not found comes back."""
    if by := rule.opener(reach.objects):
        found = {name: reach.search.find(name, by, reach.objects[by]) for name in rule.names}
        reach.start(path for path in found.values() if path)
        yield from ((name, by) for name, path in found.items() if not path)


def _quoted(place: Place) -> Quoted:
    """The names of libraries that the Python files of an installation hold."""
    quoted: Quoted = {}
    for path in place.filesystem.files(place.site_packages):
        if path.endswith(".py"):
            for name in place.filesystem.quoted(path):
                quoted.setdefault(name, set()).add(_package(place, path))
    return quoted


def _missing(reach: Reach, libraries: Libraries) -> tuple[list[Question], set[str], list[str]]:
    """What is needed and not found, what the driver is to bring, and notes on what may be missing."""
    driver: set[str] = set()
    notes: list[str] = []
    missing: list[Question] = []
    for soname, by in reach.missing:
        name = posixpath.basename(by)
        if libraries.is_driver(soname):
            driver.add(soname)
        elif by not in reach.firm and (why := libraries.optional_reason(name)):
            notes.append(f"{name} is not checked: {why}")
        else:
            missing.append((soname, by))
    return missing, driver, notes


def _named(reach: Reach, libraries: Libraries, brought: Mapping[str, Distribution]) -> tuple[list[Finding], list[str]]:
    """What loaded objects open by name and no file has the name.

    Where a wheel brought it, it is gone, and what opens it will fail. Else whoever made the wheel left it
    out, and the library goes on without it: only a note, of a library that a wheel is known to bring.
    """
    gone = {path: owner for path, owner in brought.items() if path not in reach.objects}
    findings: dict[str, Finding] = {}
    notes = []
    for name, by in reach.nowhere:
        lost = next((path for path in gone if f"{posixpath.basename(path)}.".startswith(f"{name}.")), None)
        if lost and libraries.optional_reason(posixpath.basename(lost)):
            continue
        if lost:
            message = f"{name}, which {by} opens by name, is gone or no library: {gone[lost]} brought {lost}"
            found = Finding(what=posixpath.basename(lost), needed_by=by, wheel=gone[lost].pin, message=message)
            findings.setdefault(lost, found)
        elif libraries.product_of(name):
            whole = f"; {brought[by]} came without it" if by in brought else ""
            notes.append(f"{posixpath.basename(by)} opens {name} where it is there, and it is not{whole}")
    return list(findings.values()), notes


def _mixed(reach: Reach, libraries: Libraries, brought: Mapping[str, Distribution]) -> tuple[list[Finding], list[str]]:
    """Libraries that are opened by name and taken from another installation of the same product.

    cuDNN refuses a part of another version: CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH
    (https://github.com/pytorch/pytorch/issues/188892).
    """
    findings, notes = [], []
    for name, by, path in reach.outside:
        owner = brought.get(by)
        product = libraries.product_of(name)
        if not owner or not product or product != libraries.product_of(posixpath.basename(by)):
            continue
        real = reach.search.real(path)
        version = re.search(r"\.so\.(\d+\.\d+\.\d+)", real)
        message = f"{posixpath.basename(by)} of {owner} would open {real}, of another installation"
        if version and not f"{owner.version}.".startswith(f"{version[1]}."):
            message += "; remove that one, or install a version of the wheel that brings its own"
            findings.append(Finding(what=name, needed_by=by, wheel=owner.name, message=message))
        else:
            notes.append(message)
    return findings, notes


def _gone(place: Place, brought: Mapping[str, Distribution], quoted: Quoted) -> Iterator[Finding]:
    """Libraries that a package's own programs name, which came with it and are gone."""
    for path, owner in brought.items():
        name = posixpath.basename(path)
        named = quoted.get(name, set()) | quoted.get(name.partition(".so")[0], set())
        if _package(place, path) in named and not place.filesystem.real(path):
            message = f"{path}, which programs beside it name, is gone; {owner} brought it"
            yield Finding(what=name, needed_by="", wheel=owner.pin, message=message)


def _package(place: Place, path: str) -> str:
    return posixpath.relpath(path, place.site_packages).partition("/")[0]


def _not_checked(reach: Reach, unloaded: Iterable[str], libraries: Libraries) -> Iterator[str]:
    """Those of the objects that nothing loads which could not be loaded."""
    for path in unloaded:
        wants = reach.objects[path]
        asked = [soname for soname in wants.needed if not libraries.is_driver(soname) and not reach.has(soname)]
        if lacks := [soname for soname in asked if not reach.search.find(soname, path, wants)]:
            name = posixpath.basename(path)
            why = libraries.optional_reason(name) or f"nothing loads it (it lacks {', '.join(lacks)})"
            yield f"{name} is not checked: {why}"


def _no_framework(rule: FrameworkOpens) -> Finding:
    message = f"none of {', '.join(rule.by)} is there: this is not the framework that the env names"
    return Finding(what=rule.by[0], needed_by="", wheel="", message=message)


def site_packages(python: str, prefix: str = "/opt/venv") -> str:
    """Where the images of this project keep their distributions."""
    return f"{prefix}/lib/python{python}/site-packages"


def describe(closure: Closure) -> Sequence[str]:
    """One line per finding, or one that says that there is none."""
    if closure.complete:
        host = f"; from the host's driver: {', '.join(closure.driver)}" if closure.driver else ""
        loaded = f"{closure.loaded} of {closure.objects} shared objects are loaded by something"
        return (f"{loaded}, and find every library they need{host}",)
    return tuple(finding.message for finding in closure.findings)
