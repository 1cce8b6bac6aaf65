"""Whether a lock still satisfies the requirements that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.model import Env, Lock


def unmet(env: Env, lock: Lock) -> tuple[str, ...]:
    """What a lock has not of an env's requirements and constraints: empty where it satisfies them.

    Raises ConfigError, naming the key, for a requirement that is none.
    """
    requirements = _unmet(env, "requirements", env.requirements, lock, needed=True)
    constraints = _unmet(env, "constraints", env.constraints, lock, needed=False)
    return (*requirements, *constraints)


def _unmet(env: Env, key: str, lines: Iterable[str], lock: Lock, *, needed: bool) -> Iterator[str]:
    for line in lines:
        wanted = _parse(env, key, line)
        if wanted.marker and not wanted.marker.evaluate({"python_version": env.python}):
            continue
        locked = lock.version_of(canonicalize_name(wanted.name))
        if locked is None:
            if needed:
                yield f"{line!r}: it holds no {wanted.name}"
        # The framework's pin is exact, its local part too: 2.13.0 is not 2.13.0+cpu.
        elif not wanted.specifier.contains(Version(locked), prereleases=True) or (
            wanted.name == env.distribution and locked != env.pin
        ):
            yield f"{line!r}: it holds {wanted.name} {locked}"


def _parse(env: Env, key: str, line: str) -> Requirement:
    try:
        return Requirement(line)
    except InvalidRequirement as error:
        where = f"{env.file}: {env.variant}.{key}"
        raise ConfigError(f"{where}: {line!r} is no requirement: {str(error).splitlines()[0]}", "correct it") from None
