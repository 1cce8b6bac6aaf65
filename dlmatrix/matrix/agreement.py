"""Whether a lock still satisfies the requirements that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.model import Env, Lock


def check_requirements(env: Env) -> None:
    """Raise ConfigError, naming the key, for a line of an env's file that is no requirement, or no wheel's name.

    An installer would take it for an option of its own.
    """
    for key, lines in (
        ("requirements", env.requirements),
        ("constraints", env.constraints),
        ("build-requirements", env.build_requirements),
    ):
        for line in lines:
            _applying(env, key, line)
    for number, wheel in enumerate(env.wheels, 1):
        try:
            parse_wheel_filename(wheel.file)
        except (InvalidWheelFilename, InvalidVersion) as error:
            raise _none(env, f"wheels[{number}].file", wheel.file, "wheel's name", error) from None
        for line in wheel.requires:
            _applying(env, f"wheels[{number}].requires", line)


def unmet(env: Env, lock: Lock) -> tuple[str, ...]:
    """What a lock has not of an env's requirements and constraints: empty where it satisfies them.

    Raises ConfigError, naming the key, for a requirement that is none, and for a locked version that is none.
    """
    check_requirements(env)
    locked = {entry.name: _version(lock, entry.name, entry.version) for entry in lock.entries}
    requirements = _unmet(env, "requirements", env.requirements, locked, needed=True)
    constraints = _unmet(env, "constraints", env.constraints, locked, needed=False)
    return (*requirements, *constraints)


def _unmet(env: Env, key: str, lines: Iterable[str], locked: dict[str, Version], *, needed: bool) -> Iterator[str]:
    for line in lines:
        wanted = _applying(env, key, line)
        if wanted is None:
            continue
        version = locked.get(canonicalize_name(wanted.name))
        if version is None:
            if needed:
                yield f"{line!r}: it holds no {wanted.name}"
        # The framework's pin is exact, its local part too: 2.13.0 is not 2.13.0+cpu.
        elif not wanted.specifier.contains(version, prereleases=True) or (
            wanted.name == env.distribution and str(version) != env.pin
        ):
            yield f"{line!r}: it holds {wanted.name} {version}"


def _applying(env: Env, key: str, line: str) -> Requirement | None:
    """The requirement of a line; None where its marker is of another Python."""
    try:
        wanted = Requirement(line)
        if wanted.url:
            raise ValueError("it names an address, and a lock holds versions of an index")
        applies = wanted.marker is None or wanted.marker.evaluate({"python_version": env.python})
    except (ValueError, LookupError, RecursionError) as error:  # what a marker asks for may not exist either
        raise _none(env, key, line, "requirement", error) from None
    return wanted if applies else None


def _version(lock: Lock, name: str, version: str) -> Version:
    try:
        return Version(version)
    except ValueError:
        what = f"{lock.file}: {name} is locked to {version[:60]!r}, which is no version"
        raise ConfigError(what, "restore it from git, or generate it again: nox -s lock") from None


def _none(env: Env, key: str, line: str, what: str, error: Exception) -> ConfigError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ConfigError(f"{env.file}: {env.variant}.{key}: {line[:200]!r} is no {what}: {said[:200]}", "correct it")
