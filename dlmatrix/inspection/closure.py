"""Finds, without a GPU and without running anything, the libraries that an installation will miss.

Every shared object below site-packages is held against what the dynamic loader would find, and so
are the libraries that frameworks open by name; what only the host's driver brings is set apart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dlmatrix.inspection.elf import SharedObject
from dlmatrix.inspection.libraries import FrameworkOpens, Libraries, Opens
from dlmatrix.inspection.loader import Place, Search
from dlmatrix.matrix.compatibility import Build, family, is_cuda
from dlmatrix.matrix.model import Env, Lock, normal_name


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong; ``wheel`` is what would bring the library, where that is known."""

    #: the soname, or the distribution that does not belong here
    what: str
    #: the object that needs it; empty for a distribution
    needed_by: str
    wheel: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Closure:
    """What was looked at and what was found."""

    objects: int
    #: sonames that the host's driver must bring
    driver: tuple[str, ...]
    findings: tuple[Finding, ...]
    #: what was left out of the findings, and why
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is there that must not be."""
        return not self.findings


def check_closure(place: Place, env: Env, libraries: Libraries, build: Build | None, lock: Lock | None) -> Closure:
    """Check one installed env. ``build`` is its row of the compatibility table; ``lock`` names exact wheels."""
    search = Search(place)
    suggest = _Suggest(libraries, build.cuda_major if build else "", lock)
    objects = {p: o for p in search.objects if (o := place.filesystem.shared_object(p))}
    missing, driver, notes = _needed(search, objects, libraries)
    gpu = env.variant == "gpu"
    opened = list(_opened(search, objects, libraries.opens))
    findings: list[Finding] = []
    if gpu:
        rules = [rule for rule in libraries.frameworks if rule.covers(family(env), env.version)]
        findings += [_no_framework(rule) for rule in rules if not rule.opens(objects)]
        opened += _opened(search, objects, [opens for rule in rules if (opens := rule.opens(objects))])
    found: dict[str, str] = {}
    for soname, by in [*missing, *opened]:
        found.setdefault(soname, by)
    findings += [suggest.missing(search, soname, by) for soname, by in found.items()]
    findings += _baked_driver(place, libraries)
    if not gpu:
        guard, excused = _cpu_guard(place, libraries, env)
        findings += guard
        notes += excused
    return Closure(
        objects=len(objects), driver=tuple(sorted(driver)), findings=tuple(findings), notes=tuple(dict.fromkeys(notes))
    )


class _Suggest:
    """Words a missing library, with the wheel that would bring it."""

    def __init__(self, libraries: Libraries, cuda_major: str, lock: Lock | None) -> None:
        self._libraries, self._cuda_major, self._lock = libraries, cuda_major, lock

    def missing(self, search: Search, soname: str, by: str) -> Finding:
        wheel = self._libraries.wheel_of(soname, self._cuda_major)
        locked = self._lock.version_of(wheel) if self._lock and wheel else None
        message = f"{soname}, which {by} needs, is not where the loader looks"
        stem = soname.partition(".so")[0]
        if lying := search.lying_about(soname):
            message += f"; it lies in {posixpath.dirname(lying[0])}"
        elif others := sorted({posixpath.basename(p) for p in search.lying_about(f"{stem}.so*")}):
            message += f"; another version is there: {', '.join(others)}"
        if wheel:
            major = soname.rpartition(".so.")[2].partition(".")[0]
            # Of all these libraries only cuDNN counts its sonames as it counts its versions.
            pin = f"=={locked}" if locked else f"=={major}.*" if stem.startswith("libcudnn") and major else ""
            wheel += pin
            message += f"; {wheel} brings it"
        return Finding(what=soname, needed_by=by, wheel=wheel, message=message)


def _needed(
    search: Search, objects: dict[str, SharedObject], libraries: Libraries
) -> tuple[list[tuple[str, str]], set[str], list[str]]:
    """Follow every DT_NEEDED; returns (soname, object) pairs not found, driver sonames, and notes.

    A soname that one object finds is taken as found for all: the loader asks once per process, and
    frameworks load what they share before what shares it.
    """
    driver: set[str] = set()
    notes: list[str] = []
    open_questions: list[tuple[str, str]] = []
    for path, wants in objects.items():
        name = posixpath.basename(path)
        for soname in wants.needed:
            if search.find(soname, path, wants):
                continue
            if libraries.is_driver(soname):
                driver.add(soname)
            elif why := libraries.optional_reason(name):
                notes.append(f"{name} is not checked: {why}")
            else:
                open_questions.append((soname, path))
    # What a loader finds for one may load the next.
    while answered := {q for q in open_questions if search.find_for_loaders(*q, objects)}:
        open_questions = [q for q in open_questions if q not in answered]
    return [(soname, by) for soname, by in open_questions if soname not in search.sonames], driver, notes


def _opened(search: Search, objects: dict[str, SharedObject], rules: Iterable[Opens]) -> Iterator[tuple[str, str]]:
    """What a library that is there opens by name and does not find: (soname, object) pairs."""
    for rule in rules:
        for path in sorted(p for p in objects if fnmatchcase(posixpath.basename(p), rule.by)):
            for soname in rule.names:
                if not _opens(search, soname, path, objects[path]):
                    yield soname, path


def _no_framework(rule: FrameworkOpens) -> Finding:
    message = f"none of {', '.join(rule.by)} is there: this is not the framework that the env names"
    return Finding(what=rule.by[0], needed_by="", wheel="", message=message)


def _opens(search: Search, soname: str, path: str, wants: SharedObject) -> bool:
    if "*" in soname:  # a version of its own: a sibling, or nothing
        return bool([p for p in search.lying_about(soname) if posixpath.dirname(p) == posixpath.dirname(path)])
    return search.find(soname, path, wants) is not None


def _baked_driver(place: Place, libraries: Libraries) -> Iterator[Finding]:
    for path in place.filesystem.files(place.no_driver_below):
        name = posixpath.basename(path)
        if libraries.is_driver(name):
            message = f"{path} belongs to a driver: it hides the host's own"
            yield Finding(what=name, needed_by="", wheel="", message=message)


def _cpu_guard(place: Place, libraries: Libraries, env: Env) -> tuple[list[Finding], list[str]]:
    """What has no place in a cpu env: CUDA's wheels, and a framework that was built for CUDA."""
    findings = []
    for name in _distributions(place):
        if is_cuda(name):
            message = f"the distribution {name} has no place in a cpu env"
            findings.append(Finding(what=name, needed_by="", wheel="", message=message))
    built = _cuda_build(place)
    if not built:
        return findings, []
    if reason := libraries.cuda_build_reason(family(env), env.version):
        return findings, [f"a CUDA build in a cpu env: {reason}"]
    findings.append(
        Finding(what=env.series, needed_by="", wheel="", message=f"the framework is a CUDA build ({built})")
    )
    return findings, []


def _distributions(place: Place) -> Iterable[str]:
    pattern = re.compile(re.escape(place.site_packages) + r"/([^/]+?)-[^/-]+\.dist-info/METADATA")
    found = (pattern.fullmatch(path) for path in place.filesystem.files(place.site_packages))
    return sorted({normal_name(match[1]) for match in found if match})


def _cuda_build(place: Place) -> str:
    """What the framework says of itself: torch's version.py, TensorFlow's build_info.py."""
    torch = place.filesystem.text(f"{place.site_packages}/torch/version.py")
    if match := re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", torch, re.MULTILINE):
        return f"torch.version.cuda is {match[1]}"
    for package in ("tensorflow", "tensorflow_core"):
        info = place.filesystem.text(f"{place.site_packages}/{package}/python/platform/build_info.py")
        if re.search(r"is_cuda_build\W+True", info):
            return "is_cuda_build is True"
    return ""


def site_packages(python: str, prefix: str = "/opt/venv") -> str:
    """Where the images of this project keep their distributions."""
    return f"{prefix}/lib/python{python}/site-packages"


def describe(closure: Closure) -> Sequence[str]:
    """One line per finding, or one that says that there is none."""
    if closure.complete:
        host = f"; from the host's driver: {', '.join(closure.driver)}" if closure.driver else ""
        return (f"{closure.objects} shared objects find every library they need{host}",)
    return tuple(finding.message for finding in closure.findings)
