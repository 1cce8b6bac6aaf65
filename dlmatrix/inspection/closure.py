"""Finds, without a GPU and without running anything, the libraries that an installation will miss.

Every shared object below site-packages that something loads is held against what the dynamic loader would
find, and so are the libraries that frameworks open by name; what only the host's driver brings is set apart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dlmatrix.inspection.libraries import FrameworkOpens, Libraries
from dlmatrix.inspection.loader import Place, Search
from dlmatrix.inspection.reach import Question, Reach, is_module
from dlmatrix.inspection.records import Distribution, recorded_objects
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

    #: how many shared objects were looked at, and how many of them something loads
    objects: int
    loaded: int
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
    reach = Reach(search=search, objects=objects)
    reach.start(path for path, wants in objects.items() if is_module(path, wants))
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
    notes += _unloaded(reach, libraries)
    findings += _baked_driver(place, libraries)
    if not gpu:
        guard, excused = _cpu_guard(place, libraries, env)
        findings += guard
        notes += excused
    return Closure(
        objects=len(objects),
        loaded=len(reach.firm | reach.opened),
        driver=tuple(sorted(driver)),
        findings=tuple(findings),
        notes=tuple(dict.fromkeys(notes)),
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


def _framework_opens(reach: Reach, rule: FrameworkOpens) -> Iterator[Question]:
    """Load what a framework opens when it looks for a GPU; what is not found comes back."""
    if by := rule.opener(reach.objects):
        found = {name: reach.search.find(name, by, reach.objects[by]) for name in rule.names}
        reach.start(path for path in found.values() if path)
        yield from ((name, by) for name, path in found.items() if not path)


def _quoted(place: Place) -> frozenset[str]:
    """The names of libraries that the Python files of an installation hold."""
    files = place.filesystem
    programs = (path for path in files.files(place.site_packages) if path.endswith(".py"))
    return frozenset().union(*map(files.quoted, programs))


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


def _gone(place: Place, brought: Mapping[str, Distribution], quoted: frozenset[str]) -> Iterator[Finding]:
    """Extension modules, and libraries that programs name, which a distribution brought and which are gone."""
    for path, owner in brought.items():
        name = posixpath.basename(path)
        loads = ".cpython-" in name or ".abi3." in name or not quoted.isdisjoint({name, name.partition(".so")[0]})
        if loads and not place.filesystem.real(path):
            message = f"{path} is gone; {owner} brought it"
            yield Finding(what=name, needed_by="", wheel=owner.pin, message=message)


def _unloaded(reach: Reach, libraries: Libraries) -> Iterator[str]:
    """Objects that could not be loaded and that nothing loads."""
    loaded = {reach.search.real(path) for path in reach.firm | reach.opened}
    for path, wants in reach.objects.items():
        if reach.search.real(path) in loaded:
            continue
        asked = [soname for soname in wants.needed if not libraries.is_driver(soname) and not reach.has(soname)]
        if lacks := [soname for soname in asked if not reach.search.find(soname, path, wants)]:
            name = posixpath.basename(path)
            why = libraries.optional_reason(name) or f"nothing loads it (it lacks {', '.join(lacks)})"
            yield f"{name} is not checked: {why}"


def _no_framework(rule: FrameworkOpens) -> Finding:
    message = f"none of {', '.join(rule.by)} is there: this is not the framework that the env names"
    return Finding(what=rule.by[0], needed_by="", wheel="", message=message)


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
        loaded = f"{closure.loaded} of {closure.objects} shared objects are loaded by something"
        return (f"{loaded}, and find every library they need{host}",)
    return tuple(finding.message for finding in closure.findings)
